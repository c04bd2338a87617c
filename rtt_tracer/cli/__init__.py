"""The command line of MPC parties."""

"""The asset service of MPC parties: one ``rtt-tracer party`` for each asset and run."""

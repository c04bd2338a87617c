"""One party of an MPC run: the owner's gate, the engine's process, the peers."""

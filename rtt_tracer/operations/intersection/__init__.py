"""Which customers two owners have in common."""

"""Tutorials and the MVPs."""

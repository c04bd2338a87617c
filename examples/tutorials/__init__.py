"""Tutorials by role; the notebooks are made from these files (docs/tutorials.md)."""

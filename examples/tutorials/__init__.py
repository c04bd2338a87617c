"""Tutorials by role; their notebooks are made from these files: ``make notebooks``."""

"""Flower under the gate of the data owner."""

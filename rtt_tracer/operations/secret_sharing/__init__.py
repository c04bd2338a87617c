"""Turns an owner's columns into numbers fit for joint computation; the engine shares them."""

"""EdgeComp in NumPy: trains a small network on the rows of one device."""

"""Governed runs on Flower's simulation engine: what the gates would say, and no enforcement.

Everything happens in one process that holds all simulated owners at once. Nobody's data is
guarded here: a simulation tells beforehand what the gates of a real run will decide.
"""

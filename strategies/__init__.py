"""Trusted server-side operations: code of Flower apps, each folder one bundle.

Nothing here imports anything of ours; the launcher governs the strategy from outside.
"""

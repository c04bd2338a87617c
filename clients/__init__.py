"""Trusted client-side operations: code of Flower apps, each folder one bundle.

Nothing here imports anything of ours: what runs on an owner's device is what was reviewed.
"""

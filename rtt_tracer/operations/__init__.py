"""Shipped MPC operations: each folder is one bundle, with its ``operation.json``.

Their code imports nothing of ours and is registered byte for byte: see
docs/reference/operations.md. `reading` helps a requester to read their results.
"""

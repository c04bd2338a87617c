"""Receipts, Merkle trees, round documents, and what readers and recorders decide on them."""

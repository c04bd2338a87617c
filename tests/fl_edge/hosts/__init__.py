"""Parties on hosts of their own, with TLS."""

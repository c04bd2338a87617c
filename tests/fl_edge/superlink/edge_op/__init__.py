"""A client-side operation for tests: adds one to every number, and counts rows."""

"""MVP 1: two banks and a fintech train one credit model, on shares."""

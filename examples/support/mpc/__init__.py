"""Two banks and a fintech: what MVP 1, MVP 3, the tutorials and the benchmark share."""

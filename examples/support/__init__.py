"""What the demos share: chain and accounts, processes, progress, data sets, the report."""

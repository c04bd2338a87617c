"""Joint statistics on shares."""

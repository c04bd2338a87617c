"""Krum: one update that is close to the others (Blanchard et al., 2017)."""

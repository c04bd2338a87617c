"""Trimmed mean: each number's mean without its extremes (Yin et al., 2018)."""

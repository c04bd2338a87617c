"""Logistic regression on shares."""

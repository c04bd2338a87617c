"""Logistic regression on Rosetta: what each party puts in, and the training on shares."""

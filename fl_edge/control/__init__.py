"""The consumer's side of a governed run: plan it, have it announced, start it, follow it."""

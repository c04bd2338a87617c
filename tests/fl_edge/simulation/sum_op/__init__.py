"""An operation for simulations: every client adds its own number."""

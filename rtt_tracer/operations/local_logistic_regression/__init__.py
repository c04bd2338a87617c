"""An owner's own model, on the owner's rows alone."""

"""The asset service of a composite's owner: runs on the owner's own gated SuperLink."""

"""An app that tries to carry data out, and a server that asks it to."""

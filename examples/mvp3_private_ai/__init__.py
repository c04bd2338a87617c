"""MVP 3: traceable private AI. The credit model on Rosetta, alone and jointly, over HTTP."""

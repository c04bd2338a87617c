"""The control channel of a run's parties: gRPC over mutual TLS with pinned certificates.

Parties agree, sign and stop over it, and data parties send shares over it; the engine's own
traffic does not pass here (ADR 0016).
"""

import os

# gRPC's core writes a line to stderr for every stray connection; a party's log is its own.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

"""Carries an engine's link between hosts: mutual TLS 1.3, every peer pinned by its certificate.

An engine's own port is never opened: brpc (SPU) takes plain text beside TLS, and Rosetta
speaks plain TCP on 0.0.0.0. The engine's process has no network, and this process stands
between it and the peers: SPU's unix sockets in the work folder (`unix`), or sockets of the
empty network that Rosetta lives in (`rosetta`). It holds the link's key, which the
operation's code never sees. Standard library only; started with ``python -I -S``.
"""

"""Carries an SPU link between hosts: mutual TLS 1.3, every peer pinned by its certificate.

brpc's own port takes plain text beside TLS, so it is never opened: the engine's process has
no network, only unix sockets in its work folder, and this process stands between them and
the peers. It holds the link's key, which the operation's code never sees. Standard library
only; started with ``python -I -S``.
"""

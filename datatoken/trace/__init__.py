"""Tracing: the usage index of an asset, its lineage, and what waits for its owner."""

from datatoken.trace.inbox import Notice, NoticeKind, inbox, owned
from datatoken.trace.lineage import Node, downwards, upwards
from datatoken.trace.usage import Edge, GrantState, Party, Round, Usage, Use, usage

__all__ = [
    "Edge",
    "GrantState",
    "Node",
    "Notice",
    "NoticeKind",
    "Party",
    "Round",
    "Usage",
    "Use",
    "downwards",
    "inbox",
    "owned",
    "upwards",
    "usage",
]

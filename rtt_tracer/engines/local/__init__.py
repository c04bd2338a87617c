"""Plain computation on the owner's own rows, in an interpreter of the owner's."""

from rtt_tracer.engines.local.engine import LocalEngine

__all__ = ["LocalEngine"]

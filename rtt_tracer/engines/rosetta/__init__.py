"""Rosetta 0.3.0: an engine in an environment of its own, one process a party (ADR 0018)."""

from rtt_tracer.engines.rosetta.engine import RosettaEngine
from rtt_tracer.engines.rosetta.results import check_results

__all__ = ["RosettaEngine", "check_results"]

"""SPU: an engine in an environment of its own, one process a party (ADR 0020)."""

from rtt_tracer.engines.spu.engine import SpuEngine
from rtt_tracer.engines.spu.results import check_results, columns_of

__all__ = ["SpuEngine", "check_results", "columns_of"]

"""Server-side strategies under the terms of the owners: `GovernedStrategy` wraps any of them."""

from fl_edge.strategy.governed import GovernedStrategy
from fl_edge.strategy.spool import AggregateFile, Claim, RunTerms, Spool

__all__ = ["AggregateFile", "Claim", "GovernedStrategy", "RunTerms", "Spool"]

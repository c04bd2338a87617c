"""The typed contracts: reads answer at once, writes give a `Transaction` to send.

>>> intent = contracts.tokens.grant(child, parent, expiry=0, max_rounds=10)
>>> receipt = sender.send(intent)
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datatoken.authorization.view import Network
from datatoken.chain.contract import VIEW_GAS
from datatoken.chain.market import AuthorizationView, JobRecord, RoundLog, Task, TaskMarket
from datatoken.chain.registries import InstitutionRegistry, OperationRegistry
from datatoken.chain.rpc import Rpc
from datatoken.chain.tokens import DataTokenRegistry, children_hash

if TYPE_CHECKING:
    from datatoken.chain.deployment import Deployment

__all__ = [
    "AuthorizationView",
    "Contracts",
    "DataTokenRegistry",
    "InstitutionRegistry",
    "JobRecord",
    "OperationRegistry",
    "RoundLog",
    "Task",
    "TaskMarket",
    "children_hash",
]


@dataclass(frozen=True, slots=True)
class Contracts:
    """The six contracts of a deployment."""

    institutions: InstitutionRegistry
    operations: OperationRegistry
    tokens: DataTokenRegistry
    market: TaskMarket
    log: RoundLog
    view: AuthorizationView

    @classmethod
    def at(cls, rpc: Rpc, network: "Network | Deployment", view_gas: int = VIEW_GAS) -> "Contracts":
        """Return the contracts that a network or deployment names."""
        return cls(
            institutions=InstitutionRegistry(rpc, network.institutions, view_gas),
            operations=OperationRegistry(rpc, network.operations, view_gas),
            tokens=DataTokenRegistry(rpc, network.tokens, view_gas),
            market=TaskMarket(rpc, network.market, view_gas),
            log=RoundLog(rpc, network.log, view_gas),
            view=AuthorizationView(rpc, network.view, view_gas),
        )

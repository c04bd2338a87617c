"""The assets that a service stands for: whose they are, and who guards them."""

from collections.abc import Mapping
from dataclasses import dataclass

from datatoken.authorization.gate import Gatekeeper
from datatoken.ddo.models import Ddo
from datatoken.rounds.receipts import Delegation
from datatoken.service.assets.policy import Policy
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.types import Address, Hex32


@dataclass(frozen=True)
class Hosted:
    """One asset.

    Attributes
    ----------
    owner : Address
        As the chain names it.
    delegation : Delegation
        The owner's word for the service's key.
    gatekeeper : Gatekeeper
        The asset's gate, asked beforehand and without counting; the party asks its own.
    """

    dt: Hex32
    ddo: Ddo
    owner: Address
    policy: Policy
    delegation: Delegation
    gatekeeper: Gatekeeper


class Assets:
    """The assets of one service.

    Parameters
    ----------
    hosted : mapping of Hex32 to Hosted
    """

    def __init__(self, hosted: Mapping[Hex32, Hosted]) -> None:
        self.hosted = dict(hosted)

    def get(self, dt: Hex32) -> Hosted:
        """Return an asset; raise `ServiceError`."""
        found = self.hosted.get(dt)
        if found is None:
            raise ServiceError(
                ServiceCode.ASSET_UNKNOWN, f"DT {dt[:10]}… is not one of this service's assets."
            )
        return found

    def owned_by(self, account: Address) -> list[Hex32]:
        """Return the assets of an owner."""
        return [dt for dt, one in self.hosted.items() if one.owner == account]

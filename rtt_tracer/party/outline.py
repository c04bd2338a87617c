"""What a party's state machine knows of its run from the start. Values only."""

from dataclasses import dataclass

from datatoken.authorization.view import Network
from datatoken.types import Hex32
from rtt_tracer.agreement.plan import REQUESTER, Plan
from rtt_tracer.engines.base import Role


@dataclass(frozen=True)
class Outline:
    """What the machine knows of the run.

    Attributes
    ----------
    plan : Plan
    network : Network
    me : Hex32
        This party's DT.
    agreed : Hex32
        The agreed hash, as this party has derived it.
    last : int
        Number of the last stage; an operation without checkpoints has stage 0 only.
    """

    plan: Plan
    network: Network
    me: Hex32
    agreed: Hex32
    last: int

    @property
    def role(self) -> Role:
        """What the own engine does."""
        return self.plan.of(self.me).role

    @property
    def busy(self) -> int:
        """Number of the last stage that the own engine takes part in."""
        return 0 if self.role is Role.SPU_SHARE else self.last

    @property
    def peers(self) -> tuple[Hex32, ...]:
        """All parties but this one."""
        return tuple(dt for dt in self.plan.dts if dt != self.me)

    @property
    def idle(self) -> tuple[Hex32, ...]:
        """Peers whose rows are shared already: each later stage needs their consent."""
        sharers = (one.dt for one in self.plan.participants if one.role is Role.SPU_SHARE)
        return tuple(dt for dt in sharers if dt != self.me)

    @property
    def receives(self) -> bool:
        """Whether shares of the results come to this party.

        A compute party never opens any; a script on Rosetta reveals by itself.
        """
        script = self.role is Role.ROSETTA and self.last == 0
        own = self.me in self.plan.receivers
        return own and self.role is not Role.SPU_COMPUTE and not script

    @property
    def sends_results(self) -> bool:
        """Whether this party has shares of results for other parties."""
        others = set(self.plan.receivers) - {REQUESTER, self.me}
        stages = self.role is Role.ROSETTA and self.last > 0
        return (self.role is Role.SPU_COMPUTE or stages) and bool(others)

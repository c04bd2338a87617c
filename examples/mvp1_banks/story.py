"""What all parts of the demo share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datatoken.types import Hex32, Scalar
from examples.support.checks import Checks
from examples.support.ground import Tell
from examples.support.mpc.world import CreditWorld
from examples.support.show import Show

ROWS: Mapping[str, int] = {"ABY3": 30_000, "SECURENN": 30_000, "CHEETAH": 6_000}
"""Default rows: Cheetah needs no third party, and some twenty times the work."""

SHARE, JOINT, LOCAL = "secret_sharing", "logistic_regression", "local_logistic_regression"
LABEL = "default"
SEED = 3
"""Of the rows' public order, whose last fifth is held out: a split whose AUCs in the clear lie
near the means over five folds (README.md)."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    protocol: str
    rows: int | None
    epochs: int
    refusals: bool
    folder: Path
    store: str | None = None

    @property
    def providers(self) -> tuple[str, ...]:
        """Return who computes: Cheetah is for two, the others for three."""
        return ("A", "B") if self.protocol == "CHEETAH" else ("A", "B", "D")

    @property
    def institutions(self) -> tuple[str, ...]:
        """Return who takes part."""
        return tuple(sorted({*self.providers, "C"}))


@dataclass
class Story:
    """The world, what has been proven of it, and the algorithms and jobs by name."""

    options: Options
    world: CreditWorld
    show: Show
    checks: Checks
    jobs: dict[str, Hex32] = field(default_factory=dict)

    @property
    def tell(self) -> Tell:
        """Print one line."""
        return self.show.tell

    @property
    def leaves(self) -> list[str]:
        """Return the assets of the joint algorithm, in its order."""
        data = ["A-data", "B-data"]
        return data + [f"{name}-compute" for name in self.options.providers]

    def parameters(self, epochs: int | None = None) -> dict[str, Scalar]:
        """Return what C asks for in a run of the joint model."""
        return {"protocol": self.options.protocol, "epochs": epochs or self.options.epochs}

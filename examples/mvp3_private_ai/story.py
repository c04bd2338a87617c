"""What all parts of the demo share: MVP 1's cast, with another engine."""

from dataclasses import dataclass

from datatoken.types import Scalar
from examples.mvp1_banks import story

ROWS = 6_000
"""Default customers: the run itself takes a fifth of the demo's time, and starts as much."""

BATCH = 256
ROSETTA, LOCAL, ON_SPU = (
    "logistic_regression_rosetta",
    "local_logistic_regression",
    "logistic_regression",
)
PROTOCOL = "SecureNN"
PROVIDERS = ("A", "B", "D")
"""Who takes part in a joint run: the banks in their private domains, D without rows."""

Options = story.Options


@dataclass
class Story(story.Story):
    """The world, what has been proven of it, and the algorithms and jobs by name."""

    @property
    def leaves(self) -> list[str]:
        """Return the assets of the joint algorithm, in its order: it gives the ranks."""
        return ["A-data", "B-data", "D-compute"]

    def parameters(self, epochs: int | None = None) -> dict[str, Scalar]:
        """Return what C asks for in a run of the joint model."""
        return {"epochs": epochs or self.options.epochs, "batch-size": BATCH}

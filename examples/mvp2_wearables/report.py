"""What the demo shows at the end: tables, the curve as PNG, and one JSON object."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from examples.support.report import Refusal


@dataclass(frozen=True)
class Round:
    """One round of the model.

    Attributes
    ----------
    number : int
        As the server counts them, from 1.
    auc : float
        On people who are on no device: the maker's own central rows.
    auc_users : float
        Mean of what the users' evaluate replies say, weighted by their rows.
    gas : tuple of int
        Of each transaction that logged it (one a message kind).
    members : tuple of str
        Names of those whose receipts are in the log.
    """

    number: int
    auc: float
    auc_users: float
    gas: tuple[int, ...]
    members: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """Everything that the demo found."""

    data: str
    unseen: str
    rounds: tuple[Round, ...]
    participants: tuple[str, ...]
    trace: tuple[tuple[str, str], ...]
    refusals: tuple[Refusal, ...] = ()
    seconds: float = 0.0
    seconds_by_part: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> str:
        """Return the JSON object of ``--json``: one line."""
        return json.dumps(
            {
                "auc_by_round": [round(r.auc, 4) for r in self.rounds],
                "auc_users_by_round": [round(r.auc_users, 4) for r in self.rounds],
                # Training and evaluation are logged by one transaction each.
                "gas_by_round": [r.gas[0] if r.gas else None for r in self.rounds],
                "gas_evaluate_by_round": [r.gas[1] if r.gas[1:] else None for r in self.rounds],
                "refusals": [asdict(refusal) for refusal in self.refusals],
                "rounds": len(self.rounds),
                "participants": list(self.participants),
                "members_by_round": [list(r.members) for r in self.rounds],
                "trace": dict(self.trace),
                "seconds": round(self.seconds, 1),
                "seconds_by_part": {k: round(v, 1) for k, v in self.seconds_by_part.items()},
                "data": self.data,
            }
        )


def show_rounds(console: Console, outcome: Outcome) -> None:
    """Print AUC and gas by round, and who took part."""
    table = Table(title=f"Rounds — {outcome.data}", title_justify="left")
    table.add_column("round", justify="right")
    table.add_column("AUC, people never seen", justify="right")
    table.add_column("AUC, users' own held-out rows", justify="right")
    table.add_column("gas (train, evaluate)", justify="right")
    table.add_column("took part")
    for row in outcome.rounds:
        table.add_row(
            str(row.number),
            f"{row.auc:.3f}",
            f"{row.auc_users:.3f}",
            " + ".join(f"{gas:,}" for gas in row.gas) or "not logged",
            _members(row.members),
        )
    console.print(table)
    console.print(f"People never seen: {outcome.unseen}, held by the maker, not by any device.")


def draw_curve(outcome: Outcome, path: Path) -> Path | None:
    """Write the AUC curve as PNG; return its path, or None where matplotlib is missing."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    numbers = [row.number for row in outcome.rounds]
    axes.plot(numbers, [row.auc for row in outcome.rounds], "o-", label="people never seen")
    axes.plot(
        numbers,
        [row.auc_users for row in outcome.rounds],
        "s--",
        label="users' own held-out rows",
        alpha=0.7,
    )
    axes.set(xlabel="round", ylabel="AUC", title=outcome.data)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return path


def _members(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{len(names)} users"

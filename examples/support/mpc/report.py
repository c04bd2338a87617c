"""What the demos of the credit model show at the end, and their last line as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from examples.support.mpc.trace import Trace
from examples.support.report import Refusal


@dataclass(frozen=True)
class Outcome:
    """Everything that a demo found.

    Attributes
    ----------
    auc : float
        Of the joint model, on rows that were held out of the training at both banks.
    auc_alone : mapping of str to float
        Of the model that each bank can train on its own columns.
    auc_clear : float or None
        Of the same model in the clear, all columns in one place, on the same rows.
    bytes_sent : int
        Between the engines' processes, all parties together.
    gas_by_round : sequence of int
        Of each transaction that logged a round of the joint training.
    train_seconds : float
        Of the joint training, after start-up.
    lines : mapping of int to str
        Acceptance lines that were gone through: what was looked at.
    """

    title: str
    protocol: str
    rows: int
    epochs: int
    auc: float
    auc_alone: Mapping[str, float]
    bytes_sent: int
    train_seconds: float
    gas_by_round: Sequence[int]
    lines: Mapping[int, str]
    auc_clear: float | None = None
    trace: Sequence[tuple[str, str]] = ()
    uses: Sequence[Trace] = ()
    refusals: Sequence[Refusal] = ()
    seconds: float = 0.0
    seconds_by_part: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> str:
        """Return the JSON object of ``--json``: one line."""
        return json.dumps(
            {
                "auc": round(self.auc, 4),
                "auc_alone": {bank: round(auc, 4) for bank, auc in self.auc_alone.items()},
                "auc_clear": None if self.auc_clear is None else round(self.auc_clear, 4),
                "seconds": round(self.seconds, 1),
                "bytes_sent": self.bytes_sent,
                "gas_by_round": list(self.gas_by_round),
                "refusals": [asdict(refusal) for refusal in self.refusals],
                "protocol": self.protocol,
                "rows": self.rows,
                "epochs": self.epochs,
                "train_seconds": round(self.train_seconds, 2),
                "lines": {str(number): text for number, text in self.lines.items()},
                "trace": dict(self.trace),
                "uses": [asdict(use) for use in self.uses],
                "seconds_by_part": {k: round(v, 1) for k, v in self.seconds_by_part.items()},
                "data": self.title,
            }
        )


def show_model(console: Console, outcome: Outcome) -> None:
    """Print the joint model beside each bank's own, and what it cost."""
    table = Table(title=f"The model — {outcome.title}", title_justify="left")
    for name, justify in (("trained on", "left"), ("AUC, held-out rows", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left")
    for bank, auc in outcome.auc_alone.items():
        table.add_row(f"bank {bank}'s own columns, in its private domain", f"{auc:.3f}")
    table.add_row(f"both, on shares ({outcome.protocol})", f"[bold]{outcome.auc:.3f}[/bold]")
    if outcome.auc_clear is not None:
        table.add_row("both, in the clear, for comparison", f"{outcome.auc_clear:.3f}")
    console.print(table)
    gas = " + ".join(f"{gas:,}" for gas in outcome.gas_by_round) or "none"
    console.print(
        f"{outcome.rows:,} rows, {outcome.epochs} epochs: {outcome.train_seconds:.1f} s of work, "
        f"{outcome.bytes_sent / 1e6:,.1f} MB between the parties. Gas by round: {gas}.",
        highlight=False,
    )


def draw_auc(outcome: Outcome, path: Path) -> Path | None:
    """Write the AUCs as a bar chart (PNG); return its path, or None without matplotlib."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [f"bank {bank} alone" for bank in outcome.auc_alone] + ["both, on shares"]
    figure, axes = pyplot.subplots(figsize=(6.4, 3.0), layout="constrained")
    bars = axes.barh(names, [*outcome.auc_alone.values(), outcome.auc], height=0.55)
    axes.bar_label(bars, fmt="%.3f", padding=4)
    best = max(outcome.auc, *outcome.auc_alone.values())
    axes.set(xlim=(0.5, best + 0.05), xlabel="AUC on held-out rows", title=outcome.title)
    axes.invert_yaxis()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return path

"""What all demos show: refusals, and pairs of facts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Refusal:
    """One refusal: what was tried, who refused, the reason code, and the sentence.

    `rounds_after` says what came after: the rounds that the others, or the same job once more,
    still did; `lines` are those of docs/acceptance.md that the refusal shows.
    """

    case: str
    by: str
    code: str
    sentence: str
    rounds_after: int = 0
    lines: tuple[int, ...] = ()


def show_facts(console: Console, title: str, facts: Iterable[tuple[str, str]]) -> None:
    """Print pairs of (what, finding)."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column("what", style="bold")
    table.add_column("", overflow="fold")
    for name, value in facts:
        table.add_row(name, value)
    console.print(table)


def show_refusals(console: Console, refusals: Sequence[Refusal]) -> None:
    """Print what was tried and refused."""
    if not refusals:
        return
    after = any(refusal.rounds_after for refusal in refusals)
    lines = any(refusal.lines for refusal in refusals)
    table = Table(title="Refused", title_justify="left")
    for name in ("tried", "refused by", "reason"):
        table.add_column(name, overflow="fold")
    if after:
        table.add_column("rounds after", justify="right")
    if lines:
        table.add_column("lines")
    for refusal in refusals:
        row = [refusal.case, refusal.by, refusal.code]
        row += [str(refusal.rounds_after)] if after else []
        row += [", ".join(map(str, refusal.lines))] if lines else []
        table.add_row(*row)
    console.print(table)

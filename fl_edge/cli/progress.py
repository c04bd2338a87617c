"""The rounds of a run on stderr: a bar on a terminal, plain lines elsewhere."""

import re
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from datatoken.cli.output import Output

_ROUND = re.compile(r"\[ROUND (\d+)/(\d+)\]")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m|\\u001b\[[0-9;]*m")


class RoundProgress:
    """Shows the log of a run, and how far it is.

    Parameters
    ----------
    output : Output
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._bar = Progress(
            TextColumn("round"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=output.errors,
            transient=True,
            disable=not output.errors.is_terminal,
        )
        self._task = self._bar.add_task("rounds", total=None)

    def line(self, text: str) -> None:
        """Show one line of the log."""
        shown = _COLOURS.sub("", text)
        if found := _ROUND.search(shown):
            number, total = int(found[1]), int(found[2])
            self._bar.update(self._task, completed=number - 1, total=total)
        self._bar.console.print(Text(shown, style="dim"))

    def __enter__(self) -> Self:
        """Start the bar."""
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the bar."""
        self._bar.stop()

"""Progress: a live bar on a terminal, plain lines with the time elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Show:
    """Tells what happens.

    Parameters
    ----------
    console : Console
        Where to; a terminal gets a live bar.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._started = time.monotonic()
        self.parts: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def tell(self, text: str) -> None:
        """Print one line."""
        self.console.print(
            f"[dim]{self.seconds:6.1f}s[/dim]  {text}", highlight=False, soft_wrap=True
        )

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """Print a heading and take the time of what follows."""
        self.console.print(f"\n[bold]{title}[/bold]", highlight=False)
        started = self.seconds
        try:
            yield
        finally:
            self.parts[title] = self.seconds - started

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator["Bar"]:
        """Show a bar while something runs; without a terminal only its lines."""
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        with progress:
            yield Bar(progress, progress.add_task(title, total=total, note=""))


class Bar:
    """One bar."""

    def __init__(self, progress: Progress, task: object) -> None:
        self._progress, self._task = progress, task

    def step(self, note: str = "") -> None:
        """Advance by one."""
        self._progress.update(self._task, advance=1, note=note)  # type: ignore[arg-type]

    def note(self, text: str) -> None:
        """Say what it is at."""
        self._progress.update(self._task, note=text)  # type: ignore[arg-type]

"""Acceptance lines as a demo goes through them: what was looked at, and that it holds."""

from dataclasses import dataclass, field

from datatoken.errors import RunFailedError
from examples.support.ground import Tell


@dataclass
class Checks:
    """Tells each line once it is proven; the first one that is not ends the demo."""

    tell: Tell
    lines: dict[int, str] = field(default_factory=dict)

    def hold(self, line: int, finding: str, holds: bool) -> None:
        """Note that an acceptance line holds.

        Parameters
        ----------
        line : int
            Its number in docs/acceptance.md.
        finding : str
            What was looked at, in one sentence.

        Raises
        ------
        RunFailedError
            When it does not hold.
        """
        if not holds:
            raise RunFailedError(f"Line {line} of docs/acceptance.md does not hold: {finding}")
        self.lines[line] = finding
        self.tell(f"[{line}] {finding}")

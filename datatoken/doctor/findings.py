"""What a check found."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from datatoken.errors import DataTokenError


class State(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    ABSENT = "absent"
    """Not here, and needed only for some roles."""
    WARNING = "warning"
    """Works, with a risk."""
    ERROR = "error"
    """Something will fail or be refused."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's.

    Parameters
    ----------
    area : str
        What was looked at: python, keys, chain, store, …
    state : State
    what : str
        One sentence.
    mend : str
        What to do about it, where there is something to do.
    """

    area: str
    state: State
    what: str
    mend: str = ""


def worst(findings: Iterable[Finding]) -> State:
    """Return the worst state of all findings."""
    order = list(State)
    return max((finding.state for finding in findings), key=order.index, default=State.OK)


def attempt(area: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Run a check; its failure is a finding, too."""
    try:
        return list(check())
    except DataTokenError as error:
        return [Finding(area, State.ERROR, error.message, error.hint)]
    except Exception as error:  # a check that breaks must not hide what the others found
        what = f"The check itself failed: {type(error).__name__}: {error}."
        return [Finding(area, State.ERROR, what, "Please report this.")]

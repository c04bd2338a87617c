"""How a governed run ends: its reason, and the exit code that goes with it."""

import re

from datatoken.authorization.reasons import HINTS, Reason
from datatoken.errors import DataTokenError, ExitCode

_CODE = re.compile(r"\b[A-Z]{2,}(?:_[A-Z]{2,})+\b")
_CODES = {
    Reason.CHAIN_UNREACHABLE: ExitCode.CHAIN_UNREACHABLE,
    Reason.WRONG_CHAIN: ExitCode.CHAIN_UNREACHABLE,
    Reason.STORE_UNREACHABLE: ExitCode.STORE,
}


class RunEndedError(DataTokenError):
    """A run was refused at its start, or ended without its result.

    Parameters
    ----------
    text : str
        What the SuperLink said; the reason code in it decides on the exit code.
    started : bool
        Whether the run had started: 4 refused, 10 failed, unless the reason has its own.
    """

    def __init__(self, text: str, *, started: bool) -> None:
        self.reason = reason_in(text)
        shown = text.strip() or "The run failed, and its SuperLink does not say why."
        hint = HINTS[self.reason] if self.reason and HINTS[self.reason] not in shown else ""
        super().__init__(shown, hint)
        general = ExitCode.RUN_FAILED if started else ExitCode.REFUSED
        self.exit_code = _CODES.get(self.reason, general) if self.reason else general
        self.code = self.reason.value if self.reason else "RUN_FAILED"


def reason_in(text: str) -> Reason | None:
    """Return the first reason code in a text, or None."""
    for word in _CODE.findall(text):
        if word in Reason.__members__:
            return Reason(word)
    return None

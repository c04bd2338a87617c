"""How a run ended: the reason in a SuperLink's words decides on the exit code."""

import pytest

from datatoken.authorization.reasons import Reason
from datatoken.errors import ExitCode
from fl_edge.control.outcome import RunEndedError, reason_in


@pytest.mark.parametrize(
    ("text", "started", "code"),
    [
        ("GRANT_REVOKED: it was revoked.", False, ExitCode.REFUSED),
        ("GRANT_REVOKED: it was revoked.", True, ExitCode.RUN_FAILED),
        ("CHAIN_UNREACHABLE: no answer.", False, ExitCode.CHAIN_UNREACHABLE),
        ("CHAIN_UNREACHABLE: no answer.", True, ExitCode.CHAIN_UNREACHABLE),
        ("STORE_UNREACHABLE: no answer.", True, ExitCode.STORE),
        ("ServerApp failed with exception: division by zero", True, ExitCode.RUN_FAILED),
        ("", True, ExitCode.RUN_FAILED),
        ("Permission denied", False, ExitCode.REFUSED),
    ],
)
def test_exit_code_follows_from_the_reason(text: str, started: bool, code: ExitCode) -> None:
    assert RunEndedError(text, started=started).exit_code is code


def test_first_known_code_is_the_reason() -> None:
    text = "ServerApp failed with exception: TOO_FEW_PARTICIPANTS: 1 x GRANT_REVOKED: no."

    assert reason_in(text) is Reason.TOO_FEW_PARTICIPANTS
    assert reason_in("SOME_OTHER_WORD: no") is None


def test_hint_is_given_once() -> None:
    said = "GRANT_REVOKED: it was revoked. The owner has withdrawn the permission; ask the owner."

    assert RunEndedError(said, started=True).hint == ""
    assert RunEndedError("GRANT_REVOKED: it was.", started=True).hint

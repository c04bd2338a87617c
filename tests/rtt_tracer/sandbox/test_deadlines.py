"""Deadlines of an operation: the clock is a number."""

import math

import pytest

from rtt_tracer.engines.events import EngineEvent
from rtt_tracer.sandbox import Deadlines

READY = EngineEvent(event="ready")
PROGRESS = EngineEvent(event="progress", done=1)
CHECKPOINT = EngineEvent(event="checkpoint", number=0)


def begun() -> Deadlines:
    """Deadlines of an operation that was launched at 100."""
    return Deadlines(begun=100.0, start=10.0, progress=20.0, end=200.0)


def test_engine_that_never_gets_ready() -> None:
    assert begun().passed(109.9) is None
    assert begun().passed(110.0) == "The engine was not ready within 10 s."
    assert begun().left(104.0) == 6.0


def test_operation_without_a_sign_of_progress() -> None:
    working = begun().seen(READY, 105.0).ordered(110.0)

    assert working.passed(129.9) is None
    assert working.passed(130.0) == "The operation gave no sign of progress for 20 s."
    assert working.seen(PROGRESS, 129.0).passed(148.9) is None


def test_waiting_for_an_order_is_no_silence() -> None:
    """Between checkpoint and order it is the supervisor's turn."""
    waiting = begun().seen(READY, 105.0).ordered(110.0).seen(CHECKPOINT, 115.0)

    assert waiting.passed(190.0) is None
    assert waiting.seen(PROGRESS, 190.0).passed(215.0) is None
    assert waiting.ordered(200.0).passed(220.0) is not None


def test_operation_that_says_progress_for_ever() -> None:
    """Signs of progress do not move the end."""
    deadlines = begun().seen(READY, 101.0).ordered(101.0)
    for second in range(102, 300):
        deadlines = deadlines.seen(PROGRESS, float(second))

    assert deadlines.passed(299.9) is None
    assert deadlines.passed(300.0) == "The operation did not end within 200 s."


@pytest.mark.parametrize("last", ["end", "failed"])
def test_nothing_is_due_after_the_final_event(last: str) -> None:
    over = begun().ordered(100.0).seen(EngineEvent(event=last), 101.0)  # type: ignore[arg-type]

    assert over.passed(1e9) is None
    assert over.left(1e9) == math.inf

"""What an operation tries against memory, disk, processes and its pipes, and what comes of it."""

import pytest

from tests.rtt_tracer.sandbox.conftest import CONTAINER, FULL, NO_UNSHARE, OLD, Arena, Attack

EVERYWHERE = pytest.mark.parametrize("platform", [FULL, NO_UNSHARE, CONTAINER, OLD])


@EVERYWHERE
def test_operation_fills_the_memory(attack: Attack, platform: str) -> None:
    """One process hits the kernel's limit."""
    outcome = attack(
        """
def fill():
    held = []
    while True:
        held.append(bytearray(32 << 20))
tell(one=attempt(fill))
end()
""",
        platform,
        limits={"memory_mb": 300},
    )

    assert outcome.told["one"] == {"refused": "MemoryError"}


@EVERYWHERE
def test_many_processes_fill_the_memory_together(attack: Attack, platform: str) -> None:
    """Each below its own limit, all of them above: the operation ends."""
    outcome = attack(
        """
say(event="ready")
for _ in range(6):
    if os.fork() == 0:
        held = bytearray(os.urandom(1 << 20) * 100)
        time.sleep(600)
time.sleep(600)
""",
        platform,
        limits={"memory_mb": 300},
    )

    assert outcome.last["code"] == "ENGINE_LIMIT"
    assert "MB of memory; 300 are allowed" in outcome.last["message"]


@EVERYWHERE
def test_operation_that_forks_without_end(attack: Attack, platform: str) -> None:
    """A fork bomb is ended as a whole."""
    outcome = attack(
        """
say(event="ready")
while True:
    try:
        if os.fork() == 0:
            time.sleep(600)
    except OSError:
        pass
    time.sleep(0.002)
""",
        platform,
        limits={"processes": 60},
    )

    assert outcome.last["code"] == "ENGINE_LIMIT"
    assert "processes and threads; 60 are allowed" in outcome.last["message"]


@EVERYWHERE
def test_operation_fills_the_disk(attack: Attack, platform: str) -> None:
    """Neither one large file nor many small ones; nor the log."""
    one = attack(
        """
def fill():
    with open("large", "wb") as file:
        for _ in range(100):
            file.write(bytes(1 << 20))
            file.flush()
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
tell(one=attempt(fill), size=os.path.getsize("large"))
os.remove("large")
end()
""",
        platform,
        limits={"file_mb": 8},
    )
    many = attack(
        """
number = 0
while number < 200:
    number += 1
    with open(f"small-{number}", "wb") as file:
        file.write(os.urandom(1 << 20))
    time.sleep(0.02)
time.sleep(600)
""",
        platform,
        limits={"file_mb": 8, "disk_mb": 40},
    )

    assert one.told == {"one": {"refused": "OSError"}, "size": 8 << 20}
    assert many.last["code"] == "ENGINE_LIMIT"
    assert "MB in its work folder; 40 are allowed" in many.last["message"]


def test_operation_writes_its_log_without_end(attack: Attack) -> None:
    """The log is a file like others."""
    outcome = attack(
        """
while True:
    os.write(1, b"x" * 65536)
""",
        limits={"file_mb": 4},
    )

    assert outcome.last["code"] == "ENGINE_EXITED"
    assert len(outcome.log) == 4 << 20


def test_operation_writes_junk_to_the_events_pipe(attack: Attack) -> None:
    """It is ended, and its owner is told."""
    outcome = attack("os.write(EVENTS, b'\\xff\\x00 no JSON\\n'); time.sleep(600)")

    assert outcome.last["code"] == "ENGINE_PROTOCOL"


def test_operation_writes_a_line_without_end(attack: Attack) -> None:
    """The supervisor does not gather it in its memory."""
    outcome = attack("while True: os.write(EVENTS, b'x' * 65536)")

    assert outcome.last["code"] == "ENGINE_PROTOCOL"
    assert "65536 bytes" in outcome.last["message"]


def test_operation_floods_the_events_pipe(arena: Arena) -> None:
    """Events that nobody takes are held back, and the operation with them."""
    outcome = arena.run(
        """
number = 0
while True:
    say(event="progress", done=number)
    number += 1
    open("count", "w").write(str(number))
""",
        terminate_after=0,
        limits={"grace_seconds": 0.2},
    )

    assert outcome.last["event"] == "failed"
    # what the queue, the pipe and one chunk hold; not what could be written in that time
    assert len(outcome.events) <= 256 + 2


def test_words_after_the_end_count_for_nothing(attack: Attack) -> None:
    """The first final event is the last one."""
    outcome = attack(
        'end(); say(event="failed", code="X"); say(event="checkpoint", number=1); say(junk=1)'
    )

    assert [event["event"] for event in outcome.events] == ["end"]


def test_operation_that_never_reads_its_orders(attack: Attack) -> None:
    """The supervisor gives them and goes on."""
    outcome = attack("time.sleep(0.5); end()", orders=list(range(20_000)))

    assert outcome.last["event"] == "end"

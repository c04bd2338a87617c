"""Operations that want to outlive their run: nothing of them is left."""

import json
import os
import time
from pathlib import Path

import pytest

from tests.rtt_tracer.sandbox.conftest import CONTAINER, FULL, NO_UNSHARE, OLD, Arena

EVERYWHERE = pytest.mark.parametrize("platform", [FULL, NO_UNSHARE, CONTAINER, OLD])


def alive(pid: int) -> bool:
    """Whether a process of that id exists, dead ones that wait for their parent aside."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def marked(mark: str) -> list[int]:
    """Return the processes with `mark` on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in command:
                found.append(int(entry.name))
    return [pid for pid in found if alive(pid)]


def gone(mark: str) -> bool:
    """Wait until no process with `mark` is left; give up after 20 s."""
    for _ in range(200):
        if not marked(mark):
            return True
        time.sleep(0.1)
    return False


@EVERYWHERE
def test_grandchild_that_double_forks_and_calls_setsid(arena: Arena, platform: str) -> None:
    """A daemon that an operation leaves behind ends with it."""
    mark = f"orphan-{arena.folder.name}-{os.getpid()}"

    outcome = arena.run(
        f"""
out, back = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        os.write(back, b"x")
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", {mark!r}])
    os._exit(0)
os.read(out, 1)
time.sleep(0.2)
end()
""",
        platform,
    )

    assert outcome.last["event"] == "end"
    assert outcome.left >= 1
    assert marked(mark) == []


@EVERYWHERE
def test_operation_that_outlives_its_deadline(arena: Arena, platform: str) -> None:
    """One that ignores SIGTERM, and so do its children, is gone when terminate() returns."""
    mark = f"stubborn-{arena.folder.name}-{os.getpid()}"

    outcome = arena.run(
        f"""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", {mark!r}])
time.sleep(0.2)
say(event="ready")
time.sleep(600)
""",
        platform,
        terminate_after=1.0,
        limits={"grace_seconds": 0.3},
    )

    assert [event["event"] for event in outcome.events] == ["ready", "failed"]
    assert outcome.last["code"] == "ENGINE_EXITED"
    assert marked(mark) == []


@EVERYWHERE
def test_operation_that_outlives_its_supervisor(arena: Arena, platform: str) -> None:
    """A supervisor that is killed takes its operation and all its daemons along."""
    mark = f"widow-{arena.folder.name}-{os.getpid()}"
    supervisor = arena.start(
        f"""
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", {mark!r}])
time.sleep(600)
""",
        platform,
        announce=True,
    )
    assert supervisor.stdout is not None
    assert json.loads(supervisor.stdout.readline()) == {"started": True}
    while len(marked(mark)) < 2:
        time.sleep(0.05)

    supervisor.kill()
    supervisor.wait()

    assert gone(mark)
    supervisor.stdout.close()

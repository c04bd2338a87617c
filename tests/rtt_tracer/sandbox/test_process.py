"""Starting and stopping operations, seen from the supervisor's side."""

import stat
import sys
import threading
from pathlib import Path

import pytest

from datatoken.errors import LocalEnvironmentError
from rtt_tracer.engines.base import Launch
from rtt_tracer.sandbox import EngineProcess, Limits, Mechanism, probe
from rtt_tracer.sandbox.inside import bubble, launch
from rtt_tracer.sandbox.interpreter import program_paths
from tests.rtt_tracer.sandbox.conftest import CONTAINER, FULL, OLD, PRELUDE, Attack


def start(code: str, folder: Path, **more: object) -> EngineProcess:
    """Start an operation in `folder`."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    argv = (sys.executable, "-I", "-c", PRELUDE + code)
    return EngineProcess.start(Launch(argv, {}, **more), work, Limits(), folder / "log")  # type: ignore[arg-type]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_stages_start_by_order_only(tmp_path: Path) -> None:
    """`go` lets one stage start, and its checkpoint comes back."""
    code = """
orders = os.fdopen(ORDERS)
say(event="ready")
for line in orders:
    stage = json.loads(line)["go"]
    say(event="checkpoint", number=stage, commitment="0x" + "1" * 64)
    if stage == 1:
        break
end()
"""
    with start(code, tmp_path) as process:
        ready, nothing = process.next_event(10), process.next_event(0.2)
        process.go(0)
        first = process.next_event(10)
        process.go(1)
        rest = list(process.events())
        assert process.wait(10)

    assert ready is not None and ready.event == "ready"
    assert nothing is None
    assert first is not None and (first.event, first.number) == ("checkpoint", 0)
    assert [event.event for event in rest] == ["checkpoint", "end"]
    assert process.exit_code == 0
    assert process.next_event(0) is None


def test_operation_survives_the_thread_that_started_it(tmp_path: Path) -> None:
    """A worker thread of the service may start an operation and end."""
    started: list[EngineProcess] = []
    code = "open(0).read(); os.read(ORDERS, 100); end()"
    thread = threading.Thread(target=lambda: started.append(start(code, tmp_path)))
    thread.start()
    thread.join()

    (process,) = started
    assert process.next_event(0.5) is None
    process.go(0)
    assert [event.event for event in process.events()] == ["end"]
    process.terminate()


def test_terminate_twice_and_after_the_end(tmp_path: Path) -> None:
    """Repeating it is safe, and no descriptor is lost."""
    before = descriptors()
    process = start("time.sleep(600)", tmp_path)

    process.terminate()
    process.terminate()
    process.go(3)

    assert not process.running
    assert [event.code for event in process.events()] == ["ENGINE_EXITED"]
    assert descriptors() == before


def test_polite_end_comes_first(tmp_path: Path) -> None:
    """SIGTERM lets an operation put its things in order."""
    code = """
import signal
def leave(*_):
    open("farewell", "w").write("done")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
say(event="ready")
time.sleep(600)
"""
    process = start(code, tmp_path)
    assert process.next_event(10) is not None

    process.terminate()

    assert (tmp_path / "work" / "farewell").read_text() == "done"


def test_program_that_is_not_there(tmp_path: Path) -> None:
    """A sentence with the path, and nothing left open."""
    before = descriptors()
    for argv, readable in (
        (("/nowhere/python",), ()),
        ((sys.executable,), (Path("/nowhere/lib"),)),
        (("python",), ()),
    ):
        with pytest.raises(LocalEnvironmentError, match="is not there"):
            EngineProcess.start(Launch(argv, {}, readable), tmp_path, Limits(), tmp_path / "log")

    assert descriptors() == before


def test_file_that_is_no_program(tmp_path: Path) -> None:
    """The reason comes from inside the sandbox."""
    before = descriptors()
    (tmp_path / "text").write_text("no program")

    with pytest.raises(LocalEnvironmentError, match="Permission denied"):
        EngineProcess.start(
            Launch((str(tmp_path / "text"),), {}), tmp_path, Limits(), tmp_path / "log"
        )

    assert descriptors() == before


def test_log_is_not_written_through_a_link(tmp_path: Path) -> None:
    """The log belongs to its owner alone."""
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "log").symlink_to(tmp_path / "victim")

    with pytest.raises(LocalEnvironmentError):
        start("end()", tmp_path)
    (tmp_path / "log").unlink()
    with start("print('said'); end()", tmp_path) as process:
        process.wait()

    assert (tmp_path / "victim").read_text() == "untouched"
    assert (tmp_path / "log").read_text() == "said\n"
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_readable_paths_keep_their_names(tmp_path: Path) -> None:
    """Links to them work, what is beside them is not there, and they can't be written."""
    library = tmp_path / "real" / "library"
    library.mkdir(parents=True)
    (library / "module.py").write_text("VALUE = 7")
    (tmp_path / "real" / "private").write_text("secret")
    (tmp_path / "linked").symlink_to(library)
    code = f"""
linked, private = {str(tmp_path / "linked")!r}, {str(tmp_path / "real" / "private")!r}
sys.path.append(linked)
import module
tell(
    value=module.VALUE,
    private=attempt(lambda: open(private).read()),
    written=attempt(lambda: open(linked + "/module.py", "a")),
)
end()
"""
    with start(code, tmp_path, readable=(tmp_path / "linked",)) as process:
        told = [event.message for event in process.events() if event.message]

    assert '"value": 7' in told[0]
    assert told[0].count("refused") == 2


@pytest.mark.parametrize(
    ("platform", "absent"),
    [
        (FULL, set()),
        (CONTAINER, {Mechanism.PROCESSES, Mechanism.ROOT}),
        (
            OLD,
            {
                Mechanism.PROCESSES,
                Mechanism.ROOT,
                Mechanism.FILES,
                Mechanism.NETWORK,
                Mechanism.SIGNALS,
            },
        ),
    ],
)
def test_report_says_what_is_absent_and_why(
    attack: Attack, platform: str, absent: set[Mechanism]
) -> None:
    """Nothing is claimed that the machine does not give."""
    outcome = attack("end()", platform)

    found = {f["mechanism"]: f for f in outcome.report}
    assert set(found) == set(Mechanism)
    assert {name for name, f in found.items() if f["state"] == "absent"} == absent
    assert all(f["why"] for f in outcome.report)


def test_probe_tells_the_service_the_same() -> None:
    """The card shows what an operation would get."""
    report = probe()

    assert {finding.mechanism for finding in report.findings} == set(Mechanism)
    assert report.has(Mechanism.ENVIRONMENT)


def test_bubblewrap_shows_the_operation_no_more_than_it_needs() -> None:
    """Its arguments: the work folder to write, named paths to read, the network by need."""
    plan = launch.Launch(["/x"], {}, "/w", ["/opt/lib"], [], [], {"memory_mb": 64}, 4, 5, 6)
    alone = bubble.arguments("/usr/bin/bwrap", plan, ["warden"])
    plan.bind = [4000]
    linked = bubble.arguments("/usr/bin/bwrap", plan, ["warden"])

    writable = [alone[i + 1] for i, word in enumerate(alone) if word == "--bind"]
    assert writable == ["/w"]
    assert "/opt/lib" in alone and "/etc" not in alone and alone[1] != "/"
    assert "--unshare-net" in alone and "--unshare-net" not in linked
    assert {"--unshare-pid", "--as-pid-1"} <= set(alone)
    assert alone[-2:] == ["--", "warden"]


def test_interpreter_of_a_virtual_environment_is_found_by_its_links(tmp_path: Path) -> None:
    """Its environment and its base's library, and nothing else of the base's folder."""
    base, made = tmp_path / "base", tmp_path / "made"
    for folder in (base / "bin", base / "lib" / "python3.11", made / "bin"):
        folder.mkdir(parents=True)
    (base / "lib" / "python3.11" / "os.py").touch()
    (base / "bin" / "python3.11").touch()
    (base / "keystore.json").touch()
    (made / "pyvenv.cfg").touch()
    (base / "bin" / "python3").symlink_to("python3.11")
    (made / "bin" / "python").symlink_to(base / "bin" / "python3")

    found = program_paths(made / "bin" / "python")

    assert set(found) == {
        made / "bin" / "python",
        made,
        base / "bin" / "python3",
        base / "bin" / "python3.11",
        base / "lib",
    }

"""How a requester follows a run: what it sees, whose reason it names, when it stops the others."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from datatoken.authorization.reasons import Reason
from datatoken.cli.output import Format, Output
from datatoken.errors import ChainUnreachableError, ExitCode, LocalEnvironmentError
from datatoken.service.assets.models import JobRun, Party, RunState
from datatoken.types import Hex32, sha256_hex
from rtt_tracer.requester.follow import AWAY_SECONDS, STOP_SECONDS, follow
from rtt_tracer.requester.sources import Folders, Services
from rtt_tracer.requester.watch import PartyView, RunEndedError, RunView, view

A, B, C = (sha256_hex(name.encode()) for name in "abc")
DTS = [A, B, C]
REQUEST = sha256_hex(b"request")


class Scripted:
    """Parties that do what a list says, one step at each look."""

    def __init__(self, *looks: Mapping[Hex32, PartyView] | Exception) -> None:
        self.looks, self.stopped, self.now = list(looks), 0, 0.0

    def start(self, job: Hex32, request: Hex32) -> None: ...

    def look(self) -> Mapping[Hex32, PartyView]:
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(found, BaseException):
            raise found
        return found

    def stop(self) -> None:
        self.stopped += 1

    def fetch(self, dt: Hex32, target: Path) -> None: ...

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def follow(self) -> RunView:
        output = Output(Format.JSON)
        return follow(self, DTS, output, clock=lambda: self.now, sleep=self.sleep)


def at(states: str, reason: str = "", sentence: str = "") -> dict[Hex32, PartyView]:
    """Return views by the first letters of their states; `-` for a party unheard of."""
    words = {"w": "waiting", "r": "running", "f": "finished", "R": "refused", "F": "failed"}
    words |= {"s": "stopped"}
    found = {}
    for dt, letter in zip(DTS, states, strict=True):
        if letter != "-":
            bad = letter in "RFs"
            found[dt] = PartyView(
                dt, words[letter], reason if bad else "", sentence if bad else "", 1, 4
            )
    return found


class Service:
    """An asset service that answers with what it is told to say."""

    def __init__(self, *parties: Party) -> None:
        self._parties = list(parties)

    def job(self, run: str) -> JobRun:
        owner = "0x" + "1" * 40
        return JobRun(id=run, job=A, request=REQUEST, requester=owner, parties=self._parties)


def test_service_that_speaks_for_an_asset_of_another_owners() -> None:
    """Whether that one has finished or failed is its own service's to say."""
    honest = Service(Party(asset=A, state=RunState.RUNNING))
    liar = Service(
        Party(asset=B, state=RunState.RUNNING),
        Party(asset=A, state=RunState.FAILED, reason="GRANT_REVOKED"),
    )
    source = Services({A: honest, B: liar})  # type: ignore[dict-item]
    source._run = REQUEST[2:34]

    assert {dt: one.state for dt, one in source.look().items()} == {A: "running", B: "running"}


def test_run_is_over_when_all_have_finished() -> None:
    source = Scripted(at("-w-"), at("rrr"), at("ffr"), at("fff"))

    found = source.follow()

    assert (found.over, found.broken, found.stage, found.stages) == (True, False, 4, 4)
    assert source.stopped == 0


def test_first_bad_end_stops_all_others_once() -> None:
    source = Scripted(
        at("rrr"), at("rFr", "ENGINE_FAILED", "It broke."), at("sFs", "ENGINE_FAILED")
    )

    with pytest.raises(RunEndedError) as caught:
        source.follow()

    assert source.stopped == 1
    assert caught.value.code == "ENGINE_FAILED"
    assert caught.value.exit_code is ExitCode.RUN_FAILED


def test_reason_is_the_one_of_the_party_that_refused() -> None:
    parties = {
        A: PartyView(A, "stopped", "GRANT_REVOKED", "DT b has stopped the run"),
        B: PartyView(B, "refused", "GRANT_REVOKED", "The grant was revoked."),
        C: PartyView(C, "failed", "PARTY_MISSING", "b can't be reached"),
    }

    error = RunEndedError(view(parties, DTS))

    assert error.message == f"DT {B[:10]}… has refused the run: The grant was revoked."
    assert error.code == "GRANT_REVOKED"
    assert error.exit_code is ExitCode.REFUSED
    assert error.hint


def test_party_that_does_not_end_is_not_waited_for_for_ever() -> None:
    source = Scripted(at("rRr", "JOB_NOT_OPEN"))

    with pytest.raises(RunEndedError):
        source.follow()

    assert source.now >= STOP_SECONDS
    assert source.stopped == 1


def test_services_may_be_away_for_a_moment() -> None:
    source = Scripted(at("rrr"), ChainUnreachableError("away"), at("rrr"), at("fff"))

    assert source.follow().over


def test_services_that_stay_away_end_it() -> None:
    source = Scripted(at("rrr"), ChainUnreachableError("away"))

    with pytest.raises(ChainUnreachableError):
        source.follow()

    assert source.now >= AWAY_SECONDS


def test_requester_that_interrupts_stops_all_parties() -> None:
    source = Scripted(at("rrr"), KeyboardInterrupt())  # type: ignore[arg-type]

    with pytest.raises(KeyboardInterrupt):
        source.follow()

    assert source.stopped == 1


def test_controls_in_a_sentence_do_not_reach_the_terminal() -> None:
    error = RunEndedError(view(at("FFF", "ENGINE_FAILED", "bad \x1b[31mred\x07"), DTS))

    assert "\x1b" not in error.message
    assert "\x07" not in error.message


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has nothing to do with any run."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield child
    child.kill()
    child.wait(10)


def run_folder(state: Path, dt: Hex32, pid: int, word: str = "running") -> Path:
    folder = state / "runs" / REQUEST[2:34]
    (folder / "results").mkdir(parents=True)
    (folder / "party.lock").touch()
    status = {"dt": dt, "state": word, "stage": 2, "stages": 4, "pid": pid}
    (folder / "status.json").write_text(json.dumps(status))
    return folder


def test_killed_party_is_seen_by_its_lock_and_its_number_is_left_alone(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    """The process number in a dead party's status may be another program's by now."""
    run_folder(tmp_path, A, sleeper.pid)
    source = Folders([tmp_path])
    source.start("0x", REQUEST)

    found = source.look()
    source.stop()

    assert (found[A].state, found[A].reason) == ("failed", Reason.PARTY_STOPPED)
    assert sleeper.poll() is None


def test_party_that_lives_is_stopped(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    folder = run_folder(tmp_path, A, sleeper.pid)
    source = Folders([tmp_path])
    source.start("0x", REQUEST)
    with (folder / "party.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        found = source.look()
        source.stop()

    assert found[A].state == "running"
    assert sleeper.wait(10) == -signal.SIGTERM


def test_party_that_has_ended_keeps_its_last_word(tmp_path: Path) -> None:
    run_folder(tmp_path, A, os.getpid(), "finished")
    source = Folders([tmp_path, tmp_path / "nobody"])
    source.start("0x", REQUEST)

    assert {dt: one.state for dt, one in source.look().items()} == {A: "finished"}


def test_results_are_copied_from_the_partys_own_folder(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a", A, 1, "finished")
    (folder / "results" / "run.json").write_text("{}")
    source = Folders([tmp_path / "a"])
    source.start("0x", REQUEST)

    source.fetch(A, tmp_path / "out")

    assert (tmp_path / "out" / "run.json").read_text() == "{}"
    with pytest.raises(LocalEnvironmentError):
        source.fetch(B, tmp_path / "out")

"""What goes wrong with Rosetta: every party ends, says why, and leaves nothing behind."""

import json
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datatoken.errors import BadInputError, LocalEnvironmentError, RunFailedError
from rtt_tracer.control.certificates import make_certificate
from rtt_tracer.engines.base import Role
from rtt_tracer.engines.events import EngineEvent
from rtt_tracer.engines.rosetta import RosettaEngine, check_results
from rtt_tracer.sandbox import EngineProcess
from tests.rtt_tracer.engines.driver import bank_tables, last, operation, said
from tests.rtt_tracer.engines.rosetta_driver import (
    PARAMETERS,
    RANKS,
    STAGES,
    TRAINING,
    RosettaRun,
    ended,
    in_the_clear,
    listening,
    training,
)
from tests.rtt_tracer.engines.test_spu_failures import plain, with_certificate

pytestmark = pytest.mark.rosetta
SOON = 8.0


def ends_of(processes: Sequence[EngineProcess]) -> list[EngineEvent]:
    """Return the final events; by then nothing of the operations is left."""
    found = [last(process) for process in processes]
    assert all(process.wait(20) for process in processes)
    return found


def test_a_party_that_never_comes(tmp_path: Path) -> None:
    """Rosetta itself would wait for ever."""
    with RosettaRun(tmp_path, training(tmp_path), bank_tables(64), seconds=SOON) as run:
        # Execute
        ends = ends_of([run.begin(0), run.begin(1)])

        # Assert
        assert [end.code for end in ends] == ["PEER_MISSING"] * 2
        assert "rank 2" in str(ends[0].message)


@pytest.mark.parametrize("how", ["process", "host"])
def test_a_party_killed_at_an_epoch(how: str, tmp_path: Path) -> None:
    """The process alone, or with its relay as when a host goes down. Rosetta would wait."""
    # Prepare
    with RosettaRun(tmp_path, training(tmp_path), bank_tables(64)) as run:
        processes = run.begin_all()
        run.stage(processes, 0)
        run.stage(processes, 1)

        # Execute
        processes[1].go(2)
        if how == "process":
            processes[1].terminate()
        else:
            run.leave(1)
        survivors = [processes[0], processes[2]]
        for process in survivors:
            process.go(2)
        ends = ends_of(survivors)

        # Assert
        assert [end.code for end in ends] == ["PEER_LOST"] * 2, ends
        # Who sees it first stops, and the other may hear of that stop before.
        assert any("rank 1" in str(end.message) for end in ends), ends
        assert not any(run.results(rank).joinpath("manifest.json").exists() for rank in (0, 2))


@pytest.mark.parametrize("what", ["precision", "rate", "program", "agreement", "rows"])
def test_a_party_with_another_agreement(what: str, tmp_path: Path) -> None:
    """Rosetta itself would end with exit code 0 and garbage; nothing is shared here."""
    # Prepare
    with RosettaRun(tmp_path, training(tmp_path), bank_tables(64)) as run:
        other = training(tmp_path / "other", TRAINING.replace("0.15", "0.16"))
        change: dict[str, object] = {
            "precision": {"parameters": {**PARAMETERS, "fraction-bits": 14}},
            "rate": {"parameters": {**PARAMETERS, "learning-rate": 0.25}},
            "program": {"bundle": other},
            "agreement": {"agreed": "0x" + "22" * 32},
            "rows": {"rows": 65},
        }[what]

        # Execute
        parties = [run.begin(0), run.begin(1, **change), run.begin(2)]  # type: ignore[arg-type]
        ends = ends_of(parties)

        # Assert
        assert [end.code for end in ends] == ["PREFLIGHT_MISMATCH"] * 3, ends
        words = {"rate": "learning-rate (0.25, not 0.5)", "precision": "14, not 16"}
        said = " ".join(str(end.message) for end in (ends[0], ends[2]))
        assert words.get(what, "rank 1 has another") in said


def test_a_wrong_certificate(tmp_path: Path) -> None:
    """A party at the right place with another key is nobody."""
    # Prepare
    with RosettaRun(tmp_path, training(tmp_path), bank_tables(64), seconds=SOON) as run:
        rogue, run.keys[1] = make_certificate("rank 1", "127.0.0.1")
        honest = run.parties

        # Execute
        first = run.begin(0)
        run.parties = (honest[0], replace(honest[1], certificate=rogue), honest[2])
        second = run.begin(1)
        run.parties = honest
        ends = ends_of([first, second, run.begin(2)])

        # Assert
        assert ends[0].code == "CERTIFICATE_REFUSED"
        assert {ends[1].code, ends[2].code} <= {"PEER_MISSING", "PEER_LOST", "CERTIFICATE_REFUSED"}
        assert "certificate" in (run.work(0) / "relay.log").read_text()


def test_strangers_get_nothing_and_do_no_harm(tmp_path: Path) -> None:
    """A stray connection to Rosetta's own port would end it, so that port is nowhere."""
    # Prepare
    tables = bank_tables(64)
    with RosettaRun(tmp_path, training(tmp_path), tables) as run:
        ports = [party.port for party in run.parties]
        processes = run.begin_all()
        silent = [socket.create_connection(("127.0.0.1", port), 5) for port in ports * 4]
        run.stage(processes, 0)

        # Execute
        rogue = make_certificate("rank 1", "127.0.0.1")
        answers = [
            answer
            for port in ports
            for answer in (
                plain(port),
                with_certificate(port, None, tmp_path),
                with_certificate(port, rogue, tmp_path),
            )
        ]
        heard = listening()
        for number in range(1, STAGES + 1):
            run.stage(processes, number)
        for process in processes:
            ended(process)
        for sock in silent:
            sock.close()

        # Assert
        assert answers == [b""] * 9
        assert {("127.0.0.1", port) for port in ports} <= heard
        assert {host for host, _ in heard} == {"127.0.0.1"}
        assert np.abs(run.open()["weights"] - in_the_clear(tables)).max() < 2e-3


def test_rosetta_that_ends_without_a_word(tmp_path: Path) -> None:
    """Exit code 0 is no success: Rosetta's native code ends so where it can't go on."""
    # Prepare
    code = TRAINING.replace("def stage(self, progress):", "def stage(self, progress):\n"
                            "        import os\n        os._exit(0)")  # fmt: skip
    with RosettaRun(tmp_path, training(tmp_path, code), bank_tables(64)) as run:
        processes = run.begin_all()
        run.stage(processes, 0)

        # Execute
        processes[2].go(1)
        ends = ends_of(processes)

        # Assert
        assert [end.code for end in ends] == ["PEER_LOST", "PEER_LOST", "ENGINE_EXITED"]


def test_an_exceptions_text_stays_in_the_log(tmp_path: Path) -> None:
    """What an operation raises may quote a row: only its type is told."""
    # Prepare
    code = TRAINING.replace(
        "names = sorted(",
        "if party == 0:\n            raise ValueError(str(table['a0'][0] + 987654))\n"
        "        names = sorted(",
    )
    tables = bank_tables(64)
    with RosettaRun(tmp_path, training(tmp_path, code), tables) as run:
        processes = run.begin_all()

        # Execute
        for process in processes:
            process.go(0)
        ends = ends_of(processes)

        # Assert
        assert (ends[0].code, ends[0].message) == (
            "PROGRAM_FAILED",
            "the program raised ValueError",
        )
        assert str(tables[0]["a0"][0] + 987654) in (run.work(0) / "engine.log").read_text()
        assert {end.code for end in ends[1:]} == {"PEER_LOST"}


def test_an_output_that_is_no_share(tmp_path: Path) -> None:
    """An operation that opens its result where nobody asked for it gives none."""
    # Prepare
    code = TRAINING.replace(
        '    def outputs(self):\n        return {"weights": self.session.run(self.w)}',
        "    def outputs(self):\n"
        '        return {"weights": self.session.run(rtt.SecureReveal(self.w))}',
    )
    with RosettaRun(tmp_path, training(tmp_path, code), bank_tables(64)) as run:
        processes = run.begin_all()
        for number in range(STAGES):
            run.stage(processes, number)

        # Execute
        for process in processes:
            process.go(STAGES)
        ends = ends_of(processes)

        # Assert
        assert "PROGRAM_FAILED" in {end.code for end in ends}
        assert {end.event for end in ends} == {"failed"}


def test_a_script_that_never_activates_rosetta(tmp_path: Path) -> None:
    # Prepare
    bundle = operation(tmp_path, Role.ROSETTA, "print('nothing')\n", "x", "idle", stages=0)
    with RosettaRun(tmp_path, bundle, bank_tables(64), {}) as run:
        entry = "idle_rosetta/model.py"
        processes = [run.begin(rank, entry_point=entry) for rank in RANKS]
        for process in processes:
            said(process, "ready")

        # Execute
        for process in processes:
            process.go(0)
        ends = ends_of(processes)

        # Assert
        assert "ACTIVATION_FAILED" in {end.code for end in ends}
        assert {end.event for end in ends} == {"failed"}


def test_results_are_held_against_their_commitment(tmp_path: Path) -> None:
    """Swapped shares, and shares of two runs, are not opened. Acceptance: 103"""
    # Prepare
    with RosettaRun(tmp_path, training(tmp_path), bank_tables(64)) as run:
        run.run()
        folder, commitment = run.results(1), run.checkpoints[-1][1].commitment
        assert commitment is not None
        share = folder / "weights.share"
        content = bytearray(share.read_bytes())
        content[7] ^= 0x40

        # Execute
        share.write_bytes(bytes(content))

        # Assert
        with pytest.raises(RunFailedError, match="committed"):
            check_results(folder, commitment)
        with pytest.raises(RunFailedError, match="out of range"):
            run.engine.reconstruct([run.results(rank) for rank in RANKS], tmp_path / "x.npz")
        manifest = json.loads((folder / "manifest.json").read_bytes())
        (folder / "manifest.json").write_text(json.dumps({**manifest, "agreed": "0x" + "1" * 64}))
        with pytest.raises(RunFailedError, match="different runs"):
            run.engine.reconstruct([run.results(rank) for rank in RANKS], tmp_path / "x.npz")


def test_a_taken_port(tmp_path: Path) -> None:
    with (
        RosettaRun(tmp_path, training(tmp_path), bank_tables(64)) as run,
        socket.socket() as taken,
    ):
        taken.bind(("127.0.0.1", run.parties[0].port))
        taken.listen()
        with pytest.raises(LocalEnvironmentError, match="in use"):
            run.begin(0)


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "ABY3"},
        {"parameters": {**PARAMETERS, "fraction-bits": 40}},
        {"role": Role.SPU_COMPUTE},
    ],
)
def test_what_rosetta_can_not_do_is_not_started(change: dict[str, object], tmp_path: Path) -> None:
    with (
        RosettaRun(tmp_path, training(tmp_path), bank_tables(64)) as run,
        pytest.raises(BadInputError),
    ):
        run.begin(0, **change)  # type: ignore[arg-type]


def test_no_network_of_its_own_no_rosetta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the platform can't keep it off the host's network it does not start."""
    with RosettaRun(tmp_path, training(tmp_path), bank_tables(64)) as run:
        monkeypatch.setattr(run.engine, "_confined", False)

        assert "allow_unconfined" in str(run.engine.missing())
        with pytest.raises(LocalEnvironmentError, match="kept off"):
            run.begin(0)


def test_a_missing_environment_says_what_to_do(tmp_path: Path) -> None:
    why = RosettaEngine(tmp_path / "python").missing()
    assert why is not None
    assert "make rosetta" in why

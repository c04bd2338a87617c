"""The wrapper of flwr-serverapp: an app that never heard of us is governed as well."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord
from flwr.serverapp.strategy import FedAvg, Strategy

from datatoken.authorization.reasons import Refused
from datatoken.errors import BadInputError, LocalEnvironmentError
from datatoken.types import sha256_hex
from fl_edge.strategy import AggregateFile, GovernedStrategy, RunTerms, Spool
from fl_edge.strategy.spool import arrays_to_npz, digest_of
from fl_edge.superlink import serverapp
from tests.fl_edge.strategy.grid import RUN, MemoryGrid, honest, refuse

JOB = sha256_hex(b"job")
KNOBS = {"min_train_nodes": 2, "min_evaluate_nodes": 2, "min_available_nodes": 2}


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spool:
    """Govern every strategy of this test; flwr is as it was afterwards."""
    monkeypatch.setattr(Strategy, "start", Strategy.start)
    monkeypatch.setattr(GovernedStrategy, "start", GovernedStrategy.start)
    serverapp.install(lambda run: Spool(tmp_path, run))
    return Spool(tmp_path, RUN)


def start_arrays() -> ArrayRecord:
    return ArrayRecord([np.zeros((3, 1), np.float32)])


def test_unchanged_fedavg_fails_loudly_below_the_minimum(spool: Spool) -> None:
    """Acceptance: 105."""
    spool.put_terms(RunTerms(job=JOB, minimum=3))
    grid = MemoryGrid([honest, honest, refuse("GRANT_REVOKED: it was revoked.")])

    with pytest.raises(Refused, match="TOO_FEW_PARTICIPANTS"):
        FedAvg(**KNOBS).start(grid, start_arrays(), 2, 1)


def test_unchanged_fedavg_names_its_aggregates(spool: Spool) -> None:
    spool.put_terms(RunTerms(job=JOB, minimum=2))

    result = FedAvg(**KNOBS).start(
        grid=MemoryGrid([honest] * 2), initial_arrays=start_arrays(), num_rounds=2, timeout=1
    )

    claims = [claim for _, claim in spool.claims()]
    assert [claim.round for claim in claims] == [1, 2]
    assert claims[-1].digest == digest_of(result.arrays)


def test_author_who_governs_laxly_gets_the_terms_minimum(spool: Spool) -> None:
    spool.put_terms(RunTerms(job=JOB, minimum=3))
    own = GovernedStrategy(FedAvg(**KNOBS), min_participants=1)

    with pytest.raises(Refused, match="the terms ask for 3"):
        own.start(MemoryGrid([honest] * 2), start_arrays(), 1, 1)


def test_author_who_governs_more_strictly_keeps_it(spool: Spool) -> None:
    spool.put_terms(RunTerms(job=JOB, minimum=1))
    own = GovernedStrategy(FedAvg(**KNOBS), min_participants=3)

    with pytest.raises(Refused, match="the terms ask for 3"):
        own.start(MemoryGrid([honest] * 2), start_arrays(), 1, 1)


def test_strategy_that_overrides_start_and_calls_on(spool: Spool) -> None:
    class Own(FedAvg):
        def start(self, *arguments, **options):
            return super().start(*arguments, **options)

    spool.put_terms(RunTerms(job=JOB, minimum=1))

    with pytest.raises(BadInputError, match=r"overrides Strategy\.start"):
        Own(**KNOBS).start(MemoryGrid([honest] * 2), start_arrays(), 1, 1)


def test_run_that_was_never_admitted(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serverapp, "WAIT_FOR_TERMS", 0.0)

    with pytest.raises(LocalEnvironmentError, match="not admitted"):
        serverapp.wait_for_terms(spool, 0.0)


def test_resumed_run_starts_from_the_logged_aggregate(spool: Spool, tmp_path: Path) -> None:
    logged = ArrayRecord([np.full((3, 1), 7, np.float32)])
    path = tmp_path / "logged.npz"
    path.write_bytes(arrays_to_npz(logged))
    start = AggregateFile(path=str(path), digest=digest_of(logged), round=2)
    spool.put_terms(RunTerms(job=JOB, minimum=2, start=start))

    result = FedAvg(**KNOBS).start(MemoryGrid([honest] * 2), start_arrays(), 3, 1)

    assert result.arrays.to_numpy_ndarrays()[0].flat[0] == 8
    assert [claim.round for _, claim in spool.claims()] == [3]


def test_swapped_aggregate_does_not_become_the_start_of_a_resumed_run(
    spool: Spool, tmp_path: Path
) -> None:
    path = tmp_path / "swapped.npz"
    path.write_bytes(arrays_to_npz(ArrayRecord([np.full((3, 1), 9, np.float32)])))
    start = AggregateFile(path=str(path), digest=digest_of(start_arrays()), round=2)
    spool.put_terms(RunTerms(job=JOB, minimum=2, start=start))

    with pytest.raises(BadInputError, match="not the one that was logged"):
        FedAvg(**KNOBS).start(MemoryGrid([honest] * 2), start_arrays(), 3, 1)


def test_aggregate_of_another_model_does_not_become_the_start(spool: Spool, tmp_path: Path) -> None:
    other = ArrayRecord([np.zeros((4, 1), np.float32)])
    path = tmp_path / "other.npz"
    path.write_bytes(arrays_to_npz(other))
    start = AggregateFile(path=str(path), digest=digest_of(other), round=2)
    spool.put_terms(RunTerms(job=JOB, minimum=2, start=start))

    with pytest.raises(BadInputError, match="other names, types or shapes"):
        FedAvg(**KNOBS).start(MemoryGrid([honest] * 2), start_arrays(), 3, 1)


def test_wrapper_without_a_spool_does_not_run_ungoverned() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "fl_edge.superlink.serverapp", "--insecure"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin"},
        check=False,
    )

    assert found.returncode == 8
    assert "fl-edge superlink" in found.stderr

"""The shipped operations on real SPU: one process a party behind its walls, no shortcuts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rtt_tracer.bundle import bundle_folder
from rtt_tracer.engines.base import Role
from rtt_tracer.engines.local import LocalEngine
from rtt_tracer.operations import reading
from rtt_tracer.operations.secret_sharing.share import share
from rtt_tracer.program import read_program
from tests.rtt_tracer.engines import driver
from tests.rtt_tracer.engines.driver import Run, Table, said
from tests.rtt_tracer.operations.parts import (
    SCHEMA_A,
    SCHEMA_B,
    SHIPPED,
    clear,
    defaults,
    two_banks,
)

pytestmark = pytest.mark.spu


class ShippedRun(Run):
    """A run of shipped operations alone, shared by `secret_sharing`."""

    def __init__(
        self, folder: Path, operation: str, protocol: str, parameters: Mapping[str, Any]
    ) -> None:
        super().__init__(folder, bundle_folder(SHIPPED / operation), protocol, parameters)

    def play(self, folder: Path, bundle: bytes, role: Role, table: Table, **changes: Any) -> Any:
        """Start one party that reads rows."""
        (folder / "in").mkdir(parents=True)
        np.savez(folder / "in/table.npz", **table)
        return self.start(replace(self.job(role, folder, ""), **changes), bundle)

    def share(self, tables: Sequence[Table], code: str = "") -> None:
        bundle = bundle_folder(SHIPPED / "secret_sharing")
        for index, table in enumerate(tables):
            folder = self.folder / f"data-{index}"
            process = self.play(
                folder,
                bundle,
                Role.SPU_SHARE,
                table,
                entry_point="secret_sharing.share:share",
                column_owner=index,
                inputs=len(tables),
            )
            self.shapes.append(tuple(driver.columns_of(said(process, "ready"))))
            process.go(0)
            said(process, "checkpoint")
            said(process, "end")
            for rank in range(len(self.parties)):
                target = self.work(rank) / "in/shares"
                target.mkdir(parents=True, exist_ok=True)
                for path in (folder / f"out/to-{rank}").iterdir():
                    (target / path.name).write_bytes(path.read_bytes())


def joint(tmp_path: Path, rows: int, protocol: str, **more: Any) -> dict[str, np.ndarray]:
    """Train on shares of both banks' rows, and hold the model against the same in the clear."""
    parameters = defaults("secret_sharing", "logistic_regression")
    parameters |= {"label": "bad", "epochs": 4, "checkpoint-every": 2, "batch-size": 512} | more
    with ShippedRun(tmp_path, "logistic_regression", protocol, parameters) as run:
        run.rows = rows
        run.share(two_banks(rows))
        found = run.run(2)
        assert len(run.checkpoints) == 3
    inputs = {
        f"{name}{party}": array
        for party, bank in enumerate(two_banks(rows))
        for name, array in share(bank, parameters, party).items()
    }
    expected = clear(tmp_path, "logistic_regression", inputs, parameters)
    np.testing.assert_allclose(found["weights"], expected["weights"], atol=2e-3)
    assert np.abs(found["histogram"] - expected["histogram"]).sum() <= 0.01 * rows

    held = rows - int(rows * parameters["holdout"])
    x = np.column_stack([inputs["x0"], inputs["x1"]])[held:]
    y = inputs["y0"][held:, 0]
    exact = roc_auc_score(y, x @ expected["weights"][:-1] + expected["weights"][-1])
    assert reading.auc(found["histogram"]) == pytest.approx(exact, abs=0.01)
    names = reading.feature_names([SCHEMA_A, SCHEMA_B], parameters)
    assert len(found["weights"]) == len(names) + 1
    assert found["weights"][names.index("late=others")] > found["weights"][names.index("late=0")]
    return found


@pytest.mark.parametrize("protocol", ["ABY3", "CHEETAH"])
def test_joint_training_on_shares_is_that_in_the_clear(tmp_path: Path, protocol: str) -> None:
    """Acceptance: 57, 63, 98."""
    found = joint(tmp_path, 1500, protocol)

    assert found["histogram"].sum() == pytest.approx(300, abs=0.1)


def test_securenn_compares_more_scores_than_it_can_at_once(tmp_path: Path) -> None:
    """SPU 0.9.5 gets comparisons of large arrays wrong there; scores are compared in blocks."""
    found = joint(tmp_path, 3000, "SECURENN", holdout=0.5)

    assert found["histogram"].shape[1] * 1500 > 60_000, "too few to show anything"
    assert found["histogram"].min() > -0.1


def test_no_compute_party_holds_a_number_in_the_clear(tmp_path: Path) -> None:
    """Acceptance: 66."""
    parameters = defaults("secret_sharing", "logistic_regression") | {"label": "bad", "epochs": 1}
    with ShippedRun(tmp_path, "logistic_regression", "ABY3", parameters) as run:
        run.rows = 600
        run.share(two_banks(600))
        shares = {
            rank: {
                path.name: path.read_bytes() for path in (run.work(rank) / "in/shares").iterdir()
            }
            for rank in range(3)
        }
    encoded = share(two_banks(600)[0], parameters, 0)["x"]
    fixed = np.round(encoded * 2**18).astype(np.int64)
    for held in shares.values():
        assert set(held) == {"x0", "y0", "x1"}
        for content in held.values():
            assert fixed[:4].tobytes() not in content
            assert encoded.astype(np.float32)[:4].tobytes() not in content
    one = np.frombuffer(shares[0]["y0"][-600 * 8 :], np.uint64)
    assert len(np.unique(one)) > 550, "a share of 0 and 1 looks like anything but 0 and 1"


def test_joint_statistics_on_shares_are_numpys(tmp_path: Path) -> None:
    """Acceptance: 98."""
    parameters = defaults("secret_sharing", "joint_statistics")
    parameters |= {"label": "bad", "encoding": "statistics"}
    a, b = two_banks(1200)
    with ShippedRun(tmp_path, "joint_statistics", "ABY3", parameters) as run:
        run.rows = 1200
        run.share([a, b])
        found = run.run(1)

    names = reading.number_names([SCHEMA_A, SCHEMA_B], parameters)
    columns = np.array([{**a, **b}[name] for name in names], np.float64)
    np.testing.assert_allclose(found["mean"], columns.mean(axis=1), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found["deviation"], columns.std(axis=1), rtol=1e-3)
    np.testing.assert_allclose(found["correlation"], np.corrcoef(columns), atol=1e-3)
    bins = reading.bin_names([SCHEMA_A, SCHEMA_B], parameters)
    late = found["counts"][[column == "late" for column, _ in bins]]
    exact = [
        [((b["late"] >= 3 if v == 3 else b["late"] == v) & (a["bad"] == k)).sum() for k in (0, 1)]
        for v in (-2, -1, 0, 1, 2, 3)
    ]
    hidden = np.where(np.array(exact) >= 10, exact, 0)
    np.testing.assert_allclose(late, hidden, atol=0.05)
    evidence = reading.weights_of_evidence(late)
    assert evidence[0] < evidence[2] < evidence[4], "who pays late defaults"
    assert reading.information_value(late) > 0.2


@pytest.mark.parametrize("protocol", ["RR22", "KKRT", "ECDH"])
def test_intersection_finds_common_customers(tmp_path: Path, protocol: str) -> None:
    """Acceptance: 98."""
    parameters = defaults("intersection") | {"psi-protocol": protocol}
    mine = [f"C{number:04}" for number in range(300)]
    theirs = [f"C{number:04}" for number in range(200, 500)]
    with ShippedRun(tmp_path, "intersection", "CHEETAH", parameters) as run:
        started = []
        for rank, ids in enumerate((mine, theirs)):
            folder = run.folder / f"bank-{rank}"
            (folder / "tls").mkdir(parents=True)
            (folder / "tls/key.pem").write_text(run.keys[rank])
            (folder / "tls/certificate.pem").write_text(run.parties[rank].certificate)
            process = run.play(
                folder,
                run.compute,
                Role.SPU_INTERSECT,
                {"ids": np.array(ids), "age": np.zeros(len(ids))},
                entry_point="intersection.identify:identifiers",
                rank=rank,
                column_owner=rank,
                inputs=2,
                rows=len(ids),
            )
            started.append((folder, process))
        for _, process in started:
            said(process, "ready")
        for _, process in started:
            process.go(0)
        for _, process in started:
            said(process, "end")

    expected = [f"C{number:04}" for number in range(200, 300)]
    for folder, _ in started:
        assert (folder / "out/results/ids.txt").read_text().split() == expected


def test_local_model_in_the_private_domain(tmp_path: Path) -> None:
    """Acceptance: 84, 89."""
    parameters = defaults("secret_sharing", "local_logistic_regression") | {"label": "bad"}
    _, b = two_banks(1500)
    with ShippedRun(tmp_path, "local_logistic_regression", "ABY3", parameters) as run:
        run.engine = LocalEngine(driver.PYTHON)  # type: ignore[assignment]
        folder = run.folder / "bank"
        process = run.play(
            folder,
            run.compute,
            Role.LOCAL,
            b,
            entry_point="local_logistic_regression.train:run",
            parties=(),
            column_owner=0,
            inputs=1,
            rows=1500,
        )
        said(process, "ready")
        process.go(0)
        said(process, "end")
        assert read_program(folder / "bundle").role is Role.LOCAL

    with np.load(folder / "out/results/values.npz") as found:
        assert 0.7 < float(found["auc"]) < 0.95
        assert reading.auc(found["histogram"]) == pytest.approx(float(found["auc"]), abs=0.01)

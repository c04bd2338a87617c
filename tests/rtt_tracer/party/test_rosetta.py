"""Rosetta under the gates of three owners: parties as processes, real Rosetta, a real chain."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from datatoken.authorization.reasons import Reason
from datatoken.types import Scalar, sha256_hex
from rtt_tracer.engines.rosetta.source import bundle_script
from rtt_tracer.operations.reading import auc
from rtt_tracer.operations.secret_sharing.share import share
from rtt_tracer.requester.results import check_run, open_results
from rtt_tracer.tables import open_table
from tests.rtt_tracer.engines.test_rosetta_source import LINEAR
from tests.rtt_tracer.operations.parts import defaults
from tests.rtt_tracer.processes import Asset, PartyProcess, reports, wait_all
from tests.rtt_tracer.world import SPU, PartyWorld
from tests.support.chain import Chain, wait_until

pytestmark = [pytest.mark.rosetta, pytest.mark.timeout(600)]

ROWS, SEED = 320, 20261123
MODEL = "logistic_regression_rosetta"
TRAINING: dict[str, Scalar] = {"label": "due", "batch_size": 64, "epochs": 2}


@pytest.fixture(scope="module")
def world(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PartyWorld]:
    made = PartyWorld(chain, tmp_path_factory.mktemp("rosetta"))
    with mock.patch.dict(os.environ, {"DATATOKEN_KEEP_WORK": "1"}):
        yield made
    made.close()


def tables(folder: Path) -> list[Path]:
    """Write the tables of two banks: what is due follows from both."""
    rng = np.random.default_rng(SEED)
    one, two, three = rng.normal(size=(3, ROWS))
    due = (one - two + three + rng.normal(size=ROWS) > 0).astype(int)
    amount = 0.5 * one - 0.25 * two + 0.75 * three
    columns = [{"one": one, "two": two, "due": due}, {"three": three, "amount": amount}]
    paths = []
    for bank, own in zip("ab", columns, strict=True):
        paths.append(folder / f"{bank}.csv")
        text = ",".join(["ID", *own])
        for row in zip(range(ROWS), *own.values(), strict=True):
            text += "\n" + ",".join(map(str, row))
        paths[-1].write_text(text + "\n")
    return paths


def assets(world: PartyWorld, operation: str, folder: Path) -> list[Asset]:
    a, b = tables(folder)
    return [
        world.data(world.a, operation, str(a), name="a-data"),
        world.data(world.b, operation, str(b), name="b-data"),
        world.compute(world.d, operation, name="d-compute"),
    ]


def results(parties: list[PartyProcess]) -> dict[str, Path]:
    return {party.asset.dt: party.folder / "results" for party in parties}


def test_the_requester_opens_the_model_that_three_parties_have_trained_and_signed(
    world: PartyWorld, tmp_path: Path
) -> None:
    """Acceptance: 83, 88, 97, 106."""
    banks = assets(world, world.shipped(MODEL), tmp_path)
    job, _ = world.job(banks)
    signed, wish = world.request(job, **TRAINING)

    parties = world.start_all(banks, job, signed.digest())
    codes = wait_all(parties, 300)

    assert codes == [0] * 3, reports(parties)
    checked = check_run(wish.plan, signed.digest(), results(parties))
    opened = open_results(wish.plan, checked, results(parties), tmp_path / "opened.npz", SPU)
    assert opened is not None
    with np.load(opened) as arrays:
        weights, histogram = arrays["weights"], arrays["histogram"]
    np.testing.assert_allclose(weights.ravel(), clear(tmp_path), atol=1e-3)
    assert histogram.sum() == pytest.approx(ROWS // 5, abs=0.01)
    assert auc(histogram) > 0.75
    wait_until(lambda: world.logged(job) == 3)  # the sharing, and two epochs
    documents = world.documents(job, banks[0])
    for document in documents:
        assert {one.receipt.dt for one in document.receipts} == {bank.dt for bank in banks}
    assert not world.left_behind()


def clear(folder: Path) -> np.ndarray:
    """Return the weights of the same steps in the clear."""
    wanted = {
        **defaults("secret_sharing", MODEL),
        **{name.replace("_", "-"): value for name, value in TRAINING.items()},
    }
    arrays = []
    for party, bank in enumerate("ab"):
        path = folder / f"{bank}.npz"
        open_table(str(folder / f"{bank}.csv"), "ID", None).write_npz(path)
        with np.load(path) as file:
            arrays.append(share(dict(file), wanted, party))
    x = np.hstack([arrays[0]["x"], arrays[1]["x"], np.ones((ROWS, 1))])
    y, w = arrays[0]["y"], np.zeros((x.shape[1], 1))
    batch, kept = int(wanted["batch-size"]), ROWS - ROWS // 5
    for _ in range(int(wanted["epochs"])):
        for start in range(0, kept - batch + 1, batch):
            rows = slice(start, start + batch)
            z = x[rows] @ w
            error = 0.5 + z * (0.15012 - 0.001593 * z * z) - y[rows]
            w -= float(wanted["learning-rate"]) * x[rows].T @ error / batch
    return w.ravel()


def test_bank_named_as_receiver_opens_the_model_and_nobody_else_can(
    world: PartyWorld, tmp_path: Path
) -> None:
    """Acceptance: 63."""
    banks = assets(world, world.shipped(MODEL), tmp_path)
    job, _ = world.job(banks)
    signed, _ = world.request(job, **{**TRAINING, "epochs": 1, "receivers": "1"})

    parties = world.start_all(banks, job, signed.digest())
    codes = wait_all(parties, 300)

    assert codes == [0] * 3, reports(parties)
    with np.load(parties[1].folder / "results" / "results.npz") as arrays:
        assert np.isfinite(arrays["weights"]).all()
    for party in (parties[0], parties[2]):
        assert not list((party.folder / "results").glob("*.npz"))
        assert party.status["released_to_requester"] is False


def test_a_script_in_the_style_of_the_tutorials_runs_unchanged_under_the_gates(
    world: PartyWorld, tmp_path: Path
) -> None:
    """Acceptance: 97, 103."""
    path = tmp_path / "rtt-linear_regression.py"
    path.write_text(LINEAR)
    banks = assets(world, world.script(path), tmp_path)
    job, _ = world.job(banks)
    signed, wish = world.request(job, label="amount")

    parties = world.start_all(banks, job, signed.digest())
    codes = wait_all(parties, 300)

    assert codes == [0] * 3, reports(parties)
    for party in parties:
        ran = party.folder / "work" / "bundle" / "rtt_linear_regression.py"
        assert ran.read_bytes() == path.read_bytes()
    checked = check_run(wish.plan, signed.digest(), results(parties))
    opened = open_results(wish.plan, checked, results(parties), tmp_path / "opened.npz", SPU)
    assert opened is not None
    with np.load(opened) as arrays:
        assert arrays["reveal_0"].shape == (4, 1)  # one, two, due of A and three of B
    for party, names in zip(parties, (2, 1, 1), strict=True):
        with np.load(party.folder / "results" / "values.npz") as arrays:
            assert len(arrays.files) == names  # the bias only to rank 0
    wait_until(lambda: world.logged(job) == 1)
    assert sha256_hex(bundle_script(path)) in {one.bundle for one in wish.plan.participants}


def test_a_script_that_was_changed_after_the_grants_is_not_run(
    world: PartyWorld, tmp_path: Path
) -> None:
    """A bundle swapped after approval. Acceptance: 64, 103."""
    path = tmp_path / "rtt-linear_regression.py"
    path.write_text(LINEAR.replace("RATE = 2, 32, 0.05", "RATE = 2, 32, 0.06"))
    banks = assets(world, world.script(path), tmp_path)
    job, _ = world.job(banks)
    signed, _ = world.request(job, label="amount")
    bundle = bundle_script(path)
    for block in world.world.store_folder.rglob("*.data"):
        if block.read_bytes() == bundle:
            block.chmod(0o600)
            block.write_bytes(bundle.replace(b"SecureReveal(W)", b"SecureReveal(X)"))

    party = world.start(banks[0], job, signed.digest())

    assert party.wait() == 4, party.report()
    assert party.status["reason"] == Reason.OPERATION_MISMATCH
    assert not (party.folder / "work" / "bundle").exists()

"""Operations of every kind under their owners' gates: chain, grants, parties, engines are real."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from rtt_tracer.engines.spu import SpuEngine
from tests.rtt_tracer.processes import Asset, PartyProcess, reports, wait_all
from tests.rtt_tracer.world import SPU, PartyWorld
from tests.support.chain import Chain

pytestmark = pytest.mark.spu

FUNCTION = '''"""A fintech's own file: nothing in it knows of shares, grants or data tokens."""
import jax.numpy as jnp


def link(x0, x1):
    """Return how the two banks' first columns go together."""
    a, b = x0[:, 0] - jnp.mean(x0[:, 0]), x1[:, 0] - jnp.mean(x1[:, 0])
    return jnp.mean(a * b) / jnp.sqrt(jnp.mean(a * a) * jnp.mean(b * b))
'''
RANDOM = np.random.default_rng(3)
COMMON = 240
INCOME = RANDOM.normal(30, 8, COMMON)
DEBT = 0.6 * INCOME + RANDOM.normal(0, 6, COMMON)
LATE = (INCOME + RANDOM.normal(0, 4, COMMON) < 30).astype(int)
IDS = [f"C{number:04}" for number in range(COMMON)]


def write(path: Path, names: Sequence[str], *columns: Sequence[object]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *zip(*columns, strict=True)])
    return str(path)


@pytest.fixture(scope="module")
def world(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PartyWorld]:
    made = PartyWorld(chain, tmp_path_factory.mktemp("operations"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Rows of A and B; each has customers that the other one does not know, in another order."""
    folder = tmp_path_factory.mktemp("tables")
    more = [f"A{number}" for number in range(20)], [f"B{number}" for number in range(50)]
    a = write(
        folder / "a.csv",
        ("ID", "INCOME", "LATE"),
        [*IDS, *more[0]],
        [*INCOME, *[31.0] * 20],
        [*LATE, *[0, 1] * 10],
    )
    b = write(folder / "b.csv", ("ID", "DEBT"), [*more[1], *IDS[::-1]], [*[9e3] * 50, *DEBT[::-1]])
    return a, b


@pytest.fixture(scope="module")
def aligned(world: PartyWorld, tables: tuple[str, str]) -> list[Asset]:
    """Data DTs that share rows, of the customers that an intersection has found."""
    # Prepare
    operation = world.shipped("intersection")
    finders = [
        world.data(owner, operation, source, name="ids")
        for owner, source in zip((world.a, world.b), tables, strict=True)
    ]

    # Execute
    parties = run(world, finders, psi_protocol="RR22")

    # Assert
    share = world.shipped("secret_sharing")
    found = []
    for party, owner, source in zip(parties, (world.a, world.b), tables, strict=True):
        ids = party.folder / "results" / "ids.txt"
        assert ids.read_text().split() == IDS
        assert party.status["released_to_requester"] is False
        asset = world.data(owner, share, source, name="rows")
        asset.table = {**(asset.table or {}), "keep_ids": str(ids)}
        world.configure(asset)
        found.append(asset)
    return found


def run(world: PartyWorld, assets: Sequence[Asset], **given: object) -> list[PartyProcess]:
    """Post a job over the assets, start all parties, and see all of them end well."""
    job, _ = world.job(assets)
    signed, _ = world.request(job, **given)  # type: ignore[arg-type]
    parties = world.start_all(assets, job, signed.digest())
    codes = wait_all(parties)
    assert codes == [0] * len(assets), reports(parties)
    assert world.left_behind() == []
    return parties


def opened(parties: Sequence[PartyProcess], out: Path) -> dict[str, np.ndarray]:
    """Open what the compute parties have left for the requester."""
    folders = [party.folder / "results" for party in parties if party.asset.name == "compute"]
    SpuEngine(SPU).reconstruct(folders, out)
    with np.load(out) as values:
        return dict(values)


def test_a_users_own_function_is_governed_and_run_unchanged(
    world: PartyWorld, aligned: list[Asset], tmp_path: Path
) -> None:
    """Acceptance: 98, 110"""
    # Prepare
    path = tmp_path / "fintech.py"
    path.write_text(FUNCTION)
    operation = world.function(path, "link")
    computes = [world.compute(owner, operation) for owner in (world.a, world.b)]

    # Execute
    precise = {"field": "FM128", "fraction_bits": 40}
    parties = run(
        world, [*aligned, *computes], protocol="CHEETAH", columns="INCOME,DEBT", **precise
    )

    # Assert
    found = opened(parties, tmp_path / "out.npz")["result"]
    assert abs(found - np.corrcoef(INCOME, DEBT)[0, 1]) < 1e-4
    assert {party.status["kind"] for party in parties} == {"train"}


def test_joint_statistics_answer_a_query(
    world: PartyWorld, aligned: list[Asset], tmp_path: Path
) -> None:
    """Acceptance: 98, 110"""
    # Prepare
    operation = world.shipped("joint_statistics")
    computes = [world.compute(owner, operation) for owner in (world.a, world.b, world.d)]

    # Execute
    parties = run(
        world, [*aligned, *computes], protocol="ABY3", encoding="statistics", label="LATE"
    )

    # Assert
    found = opened(parties, tmp_path / "out.npz")
    columns = np.array([INCOME, LATE, DEBT])
    np.testing.assert_allclose(found["mean"], columns.mean(axis=1), rtol=2e-3)
    np.testing.assert_allclose(found["correlation"], np.corrcoef(columns), atol=5e-3)
    assert found["counts"].sum() <= 2 * COMMON + 1
    assert {party.status["kind"] for party in parties} == {"query"}


def test_a_bank_alone_runs_the_local_model(world: PartyWorld, tables: tuple[str, str]) -> None:
    """Acceptance: 89, 98"""
    # Prepare
    operation = world.shipped("local_logistic_regression")
    asset = world.data(world.a, operation, tables[0], name="alone")

    # Execute
    (party,) = run(world, [asset], label="LATE", holdout=0.4)

    # Assert
    assert party.status["released_to_requester"] is True
    with np.load(party.folder / "results" / "values.npz") as values:
        assert 0.75 < float(values["auc"]) <= 1
        assert values["histogram"].sum() == int(0.4 * (COMMON + 20))


def test_rows_that_are_not_aligned_are_not_shared(
    world: PartyWorld, tables: tuple[str, str]
) -> None:
    """Without an intersection first, row 7 of A and row 7 of B are two customers."""
    # Prepare
    share, train = world.shipped("secret_sharing"), world.shipped("logistic_regression")
    rows = [
        world.data(owner, share, source, name="raw")
        for owner, source in zip((world.a, world.b), tables, strict=True)
    ]
    assets = [*rows, *(world.compute(owner, train) for owner in (world.a, world.b))]
    job, _ = world.job(assets)
    signed, _ = world.request(job, protocol="CHEETAH", label="LATE", epochs=1)

    # Execute
    parties = world.start_all(assets, job, signed.digest())
    wait_all(parties)

    # Assert
    assert {party.status["reason"] for party in parties} == {"ALIGNMENT_MISMATCH"}, reports(parties)
    assert not any(party.has("shares_sent") or party.has("go") for party in parties)
    assert world.left_behind() == []

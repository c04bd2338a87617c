"""Five published assets for all tests of a module; every test posts a job of its own."""

import csv
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from datatoken.types import Hex32, Scalar
from tests.rtt_tracer.processes import Asset, PartyProcess, reports, wait_all
from tests.rtt_tracer.world import PartyWorld
from tests.support.chain import Chain, wait_until

ROWS = 640
PARAMETERS: dict[str, Scalar] = {
    "label": "DEFAULT",
    "label_party": 0,
    "batch_size": 64,
    "protocol": "ABY3",
}


@dataclass
class Ground:
    """Two banks' data DTs and three compute DTs of one logistic regression."""

    world: PartyWorld
    assets: list[Asset]

    @property
    def data(self) -> list[Asset]:
        return self.assets[:2]

    @property
    def computes(self) -> list[Asset]:
        return self.assets[2:]

    def configure(self, **deadlines: float) -> None:
        """Give all parties other deadlines; those of the world where none are named."""
        for asset in self.assets:
            self.world.configure(asset, **deadlines)

    def run(self, **given: Scalar) -> "Run":
        """Post a job, sign a request, start all parties."""
        run = self.ask(**given)
        run.start()
        return run

    def ask(self, **given: Scalar) -> "Run":
        """Post a job and sign a request; start nothing."""
        job, algorithm = self.world.job(self.assets)
        return self.ask_again(job, algorithm, **given)

    def ask_again(self, job: Hex32, algorithm: Hex32, **given: Scalar) -> "Run":
        """Sign another request for a job."""
        signed, _ = self.world.request(job, **{**PARAMETERS, **given})
        return Run(self, job, algorithm, signed.digest(), [])


@dataclass
class Run:
    """One run of the five."""

    ground: Ground
    job: Hex32
    algorithm: Hex32
    request: Hex32
    parties: list[PartyProcess]

    def start(self, *but: Asset) -> None:
        """Start all parties but some."""
        assets = [asset for asset in self.ground.assets if asset not in but]
        self.parties += self.ground.world.start_all(assets, self.job, self.request)

    def party(self, asset: Asset) -> PartyProcess:
        """Return the process of an asset's party."""
        return next(one for one in self.parties if one.asset is asset)

    def others(self, asset: Asset) -> list[PartyProcess]:
        """Return the other parties."""
        return [one for one in self.parties if one.asset is not asset]

    def stored(self) -> int:
        """Return how many rounds all parties have stored: what will be on the chain."""
        return min(sum(event["event"] == "stored" for event in one.events) for one in self.parties)

    def in_the_middle(self, stage: int = 1) -> None:
        """Wait until all parties have stored a stage and go on."""
        for party in self.parties:
            party.wait_for("stored", stage=stage)

    def check_ended(self, reason: str, *, killed: PartyProcess | None = None) -> None:
        """All parties have ended for one reason, nothing is left, the log holds what happened."""
        wait_all(self.parties)
        ended = [one for one in self.parties if one is not killed]
        said = {one.asset.name: one.status.get("reason") for one in ended}
        assert set(said.values()) == {reason}, f"{said}\n{reports(self.parties)}"
        assert all(one.status["sentence"] for one in ended)
        states = {one.status["state"] for one in ended}
        assert states <= {"refused", "stopped", "failed"}
        codes = {one.child.returncode for one in ended}
        assert codes <= {4, 10}, codes
        assert self.ground.world.left_behind() == []
        if killed is None:
            self.check_log()

    def check_log(self) -> None:
        """The chain holds the rounds that all parties have stored, and each is one of all."""
        world, expected = self.ground.world, self.stored()
        wait_until(lambda: world.logged(self.job) >= expected)
        time.sleep(1.5)  # what comes late would be logged by now
        documents = world.documents(self.job, self.ground.computes[0])
        assert world.logged(self.job) == len(documents) == expected
        dts = sorted(asset.dt for asset in self.ground.assets)
        for document in documents:
            assert sorted(one.receipt.dt for one in document.receipts) == dts
            assert {one.receipt.run for one in document.receipts} == {self.request[2:34]}


def write_tables(folder: Path, rows: int = ROWS) -> tuple[Path, Path]:
    """Write two banks' rows of the same customers; A has the label."""
    randoms = random.Random(7)
    rows_a, rows_b = [], []
    for number in range(rows):
        x = [randoms.gauss(0, 1) for _ in range(4)]
        score = 1.6 * x[0] - 1.2 * x[2] + randoms.gauss(0, 0.5)
        rows_a.append([f"C{number:05d}", f"{x[0]:.6f}", f"{x[1]:.6f}", int(score > 0)])
        rows_b.append([f"C{number:05d}", f"{x[2]:.6f}", f"{x[3]:.6f}"])
    randoms.shuffle(rows_b)  # every owner keeps an order of his own
    paths = folder / "bank-a.csv", folder / "bank-b.csv"
    heads = ["ID", "INCOME", "AGE", "DEFAULT"], ["ID", "DEBT", "TENURE"]
    for path, head, rows in zip(paths, heads, (rows_a, rows_b), strict=True):
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([head, *rows])
    return paths


def make_ground(chain: Chain, folder: Path, **deadlines: float) -> Ground:
    """Publish everything that a run of five needs."""
    folder.mkdir(parents=True, exist_ok=True)
    world = PartyWorld(chain, folder)
    world.deadlines |= deadlines
    share, train = world.shipped("secret_sharing"), world.shipped("logistic_regression")
    table_a, table_b = write_tables(folder)
    assets = [
        world.data(world.a, share, str(table_a), name="a-data"),
        world.data(world.b, share, str(table_b), name="b-data"),
        world.compute(world.a, train, name="a-compute"),
        world.compute(world.b, train, name="b-compute"),
        world.compute(world.d, train, name="d-compute"),
    ]
    return Ground(world, assets)


@pytest.fixture(scope="module")
def ground(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """The five assets on the session's chain."""
    made = make_ground(chain, tmp_path_factory.mktemp("parties"))
    yield made
    made.world.close()


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every party of a test ends, whatever the test finds out; settings are as before."""
    yield
    if "ground" in request.fixturenames:
        ground: Ground = request.getfixturevalue("ground")
        ground.world.kill_all()
        ground.configure()

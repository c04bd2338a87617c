"""Raw rows stay in the private domain: looked for on the wire and at the computes.

One run of real services and parties is recorded packet by packet, in a network namespace of its
own. TLS hides what is said, so the test asks three things: nobody talks to anybody else, nothing
that is said in the clear holds a row, and what is said under TLS is as much as the shares are. What
the computes hold is read from their work folders.
"""

import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtt_tracer.engines.child_process import CODE
from rtt_tracer.operations.secret_sharing.share import share
from tests.rtt_tracer.service import search
from tests.rtt_tracer.world import ROOT, SPU

pytestmark = [pytest.mark.spu, pytest.mark.timeout(600)]

BANKS, COMPUTES = ("a-data", "b-data"), ("a-compute", "b-compute")
OPEN = """
import json, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from child.setting import runtime_config
from child.wire import unpack
import spu
order = json.load(sys.stdin)
io = spu.Io(2, runtime_config("CHEETAH", 2, {}))
values = {
    name: np.asarray(io.reconstruct([unpack(open(path, "rb").read(), name) for path in paths]))
    for name, paths in order["shares"].items()
}
np.savez(order["out"], **values)
"""


@dataclass
class Captured:
    """One run as it was recorded."""

    folder: Path
    facts: dict[str, Any]

    @property
    def names(self) -> dict[int, str]:
        return {port: name for name, port in self.facts["ports"].items()}

    def flows(self) -> Iterator[tuple[str, bool, bytes]]:
        """Yield (who was called, whether the caller says it, what is said)."""
        names = self.names
        for number, (source, target, opened) in enumerate(self.facts["flows"]):
            name = names.get(target if opened else source, f"port {source} to {target}")
            yield name, opened, (self.folder / "flows" / str(number)).read_bytes()

    def work(self, name: str) -> Path:
        """Return the work folder that a party has left."""
        return Path(self.facts["folders"][name]) / "work"

    def table(self, bank: str) -> Path:
        return self.folder / "banks" / {"a-data": "bank-a.csv", "b-data": "bank-b.csv"}[bank]

    def encoded(self, bank: str) -> dict[str, np.ndarray]:
        """Return what the operation makes of a bank's rows, by the names of the shares."""
        with np.load(self.work(bank) / "in" / "table.npz", allow_pickle=False) as file:
            table = {name: file[name] for name in file.files}
        parameters = json.loads((self.work(bank) / "job.json").read_text())["parameters"]
        index = BANKS.index(bank)
        return {f"{name}{index}": made for name, made in share(table, parameters, index).items()}

    @cached_property
    def wanted(self) -> search.Needles:
        """Return what neither wire nor compute may hold."""
        found: list[bytes] = []
        for bank in BANKS:
            matrices = [np.asarray(made, np.float64) for made in self.encoded(bank).values()]
            found += search.needles(self.table(bank), matrices)
        return search.Needles(found)


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Captured:
    folder = tmp_path_factory.mktemp("captured")
    command = [sys.executable, "-m", "tests.rtt_tracer.service.captured", str(folder)]
    probe = subprocess.run(["unshare", "-Urn", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.fail(f"no network namespace can be had here: {probe.stderr.decode().strip()}")
    done = subprocess.run(
        ["unshare", "-Urn", *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return Captured(folder, json.loads(done.stdout.splitlines()[-1]))


def test_raw_rows_on_the_wire(captured: Captured) -> None:
    """Acceptance: 66, 80"""
    wanted = captured.wanted
    heard: dict[str, int] = {}
    for name, _, content in captured.flows():
        if not name.startswith("link "):  # between the computes, who have no rows
            heard[name] = heard.get(name, 0) + len(wanted.found_in(content))

    assert captured.facts["lost"] == 0
    assert heard.pop("aloud") > 0  # a row that is said aloud is heard
    assert {name: hits for name, hits in heard.items() if hits} == {}


def test_nobody_but_the_parties_is_called(captured: Captured) -> None:
    """Every connection is to a chain, recorder, service or party of the job; nothing but TCP."""
    called = {name for name, _, _ in captured.flows()}

    assert called <= set(captured.facts["ports"])
    assert {f"control {name}" for name in COMPUTES} <= called
    assert captured.facts["others"] == {}


def test_no_more_than_the_shares_goes_to_a_compute(captured: Captured) -> None:
    """What TLS hides has no room for rows beside the shares. Acceptance: 66"""
    said: dict[str, int] = {}
    for name, _, content in captured.flows():
        if name.startswith("control "):
            said[name] = said.get(name, 0) + len(content)
    shares = {
        f"control {name}": size_of(captured.work(name) / "in" / "shares") for name in COMPUTES
    }
    over = {name: said[name] - shares.get(name, 0) for name in said}
    packed = [len(zlib.compress(captured.table(bank).read_bytes(), 9)) for bank in BANKS]

    # Handshakes and messages of all parties together; a bank's rows would not fit in beside them.
    assert set(over) == {f"control {name}" for name in (*BANKS, *COMPUTES)}
    assert all(0 < more < min(packed) for more in over.values()), (over, packed)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def shares_at(captured: Captured, compute: str) -> dict[str, bytes]:
    folder = captured.work(compute) / "in" / "shares"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_each_compute_has_its_own_shares_only(captured: Captured) -> None:
    """Acceptance: 66"""
    first, second = (shares_at(captured, name) for name in COMPUTES)

    assert set(first) == set(second) == {"x0", "y0", "x1"}
    for name in first:
        assert first[name] != second[name]
        for content in (first[name], second[name]):
            assert len(zlib.compress(content, 9)) > 0.97 * len(content)


def test_compute_holds_nothing_of_a_row(captured: Captured) -> None:
    """In no file of its own, in no form; the bank's own folder shows that one would be found."""
    wanted = captured.wanted

    def hits(folder: Path, but: Callable[[Path], bool] = lambda path: False) -> list[str]:
        files = [path for path in folder.rglob("*") if path.is_file() and not but(path)]
        return [str(path) for path in files if wanted.found_in(path.read_bytes())]

    for name in COMPUTES:
        assert hits(captured.work(name).parent) == []
    for kept in ("store", "recorder"):
        assert hits(captured.folder / "banks" / kept) == []
    for bank in BANKS:
        found = hits(captured.work(bank).parent)
        assert str(captured.work(bank) / "in" / "table.npz") in found


def test_shares_together_are_the_encoded_rows(captured: Captured, tmp_path: Path) -> None:
    """So that the shares above are those of the rows, and not of something else."""
    names = {name: bank for bank in BANKS for name in captured.encoded(bank)}
    order = {
        "shares": {
            name: [str(captured.work(one) / "in" / "shares" / name) for one in COMPUTES]
            for name in names
        },
        "out": str(tmp_path / "values.npz"),
    }
    subprocess.run(
        [str(SPU), "-c", OPEN, str(CODE)],
        input=json.dumps(order),
        text=True,
        check=True,
        timeout=120,
    )

    with np.load(tmp_path / "values.npz") as opened:
        for name, bank in names.items():
            expected = np.asarray(captured.encoded(bank)[name], np.float64)
            np.testing.assert_allclose(
                opened[name].reshape(expected.shape), expected, atol=2.0**-16
            )

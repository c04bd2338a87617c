"""Shipped operations in real processes: anvil, recorder, gated SuperLink and SuperNodes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datatoken.ddo import Terms
from datatoken.errors import BadInputError
from fl_edge.strategy.spool import arrays_from_npz
from tests.fl_edge.superlink import world as worlds
from tests.fl_edge.superlink.test_processes import wait_for_document
from tests.strategies.parts import ROOT
from tests.strategies.test_library import ecg_users
from tests.support.chain import Chain

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
RUN = {"layers": "73-8k9-16k7-1", "num-server-rounds": 2}
LOSS = re.compile(r"Aggregated MetricRecord: \{[^}]*'loss': ([0-9.e+-]+)")


@pytest.fixture(params=["fedprox", "fedadam"])
def world(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any
) -> Iterator[worlds.World]:
    """Two real persons' beats on two devices; FedProx's record and FedAdam's types pass gates."""
    try:
        users, _ = ecg_users(2)
    except BadInputError as error:
        pytest.skip(error.message)
    monkeypatch.setattr(worlds, "EDGE", ROOT / "clients" / "edgecomp_cnn")
    monkeypatch.setattr(worlds, "AVERAGE", ROOT / "strategies" / request.param)
    made = worlds.World(chain, tmp_path / "world", users=2, terms=Terms(min_participants=2))
    plain = made.federation.start

    def start(name: str, command: list[str], *more: Any, **options: Any) -> Any:
        if name.startswith("node-"):
            path = users[int(name.removeprefix("node-"))].save(made.folder / f"{name}.npz")
            command = [*command, "--node-config", f'data="{path}"']
        return plain(name, command, *more, **options)

    monkeypatch.setattr(made.federation, "start", start)
    try:
        made.start()
        yield made
    finally:
        made.close()


def test_beats_of_real_persons_are_learnt_under_every_gate(world: worlds.World) -> None:
    """Acceptance: 98, 104."""
    world.request(**RUN)

    seen = world.federation.run(world.write_fab_app(), RUN, seconds=600)

    assert seen.count("aggregate_train: Received 2 results and 0 failures") == 2, seen
    assert seen.count("aggregate_evaluate: Received 2 results and 0 failures") == 2
    train = [float(loss) for loss in LOSS.findall(seen)][::2]
    assert train[-1] < train[0]
    logged = wait_for_document(world, '"aggregate"')
    digest = str(re.findall(r'"aggregate": "(0x[0-9a-f]{64})"', logged)[-1])
    kept = world.folder / "superlink" / "aggregates" / f"{digest[2:]}.npz"
    found = arrays_from_npz(kept.read_bytes(), digest).to_numpy_ndarrays()
    assert (found[0].dtype, found[0].shape) == (np.float32, (9, 1, 8))

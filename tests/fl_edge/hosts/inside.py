"""The tests of `test_hosts.py`: they run in a user namespace, where networks can be made."""

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fl_edge.harness import BIN, QUIET
from tests.fl_edge.hosts.world import Hosts
from tests.support.certificates import node_key
from tests.support.chain import Chain, start_chain
from tests.support.hosts import Router

pytestmark = pytest.mark.timeout(900)
CUT_SECONDS = 30
ADMITTED, SENT = '"message admitted"', '"reply sent"'


@pytest.fixture(scope="session")
def router() -> Iterator[Router]:
    """The middle of the network; the namespace had not even a loopback device."""
    with Router() as made:
        yield made


@pytest.fixture(scope="session")
def chain(router: Router, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A chain in the middle."""
    started = start_chain(tmp_path_factory.mktemp("chain"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def world(
    chain: Chain, router: Router, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hosts]:
    """Everything runs: recorder and SuperLink at A, B's console, two users' SuperNodes."""
    made = Hosts(chain, tmp_path_factory.mktemp("hosts"), router)
    try:
        made.start()
        yield made
    finally:
        made.close()


def rounds(world: Hosts, wanted: int, seconds: float = 60) -> list[dict[str, Any]]:
    """Return the documents of a job's rounds once so many are logged, and no more come."""
    deadline = time.monotonic() + seconds
    while len(found := _rounds(world)) < wanted and time.monotonic() < deadline:
        time.sleep(0.5)
    time.sleep(3)
    return found if len(found) > wanted else _rounds(world)


def _rounds(world: Hosts) -> list[dict[str, Any]]:
    return [document for document in world.documents() if document["receipts"]]


def check_rounds(world: Hosts, number: int) -> None:
    """Check that each round of each kind is logged once, with both users' receipts in it."""
    found = rounds(world, 2 * number)
    closed = [(document["closes"]["kind"], document["closes"]["input"]) for document in found]
    assert Counter(kind for kind, _ in closed) == {"train": number, "evaluate": number}, found
    assert len(set(closed)) == len(closed)
    for document in found:
        members = [signed["receipt"]["dt"] for signed in document["receipts"]]
        assert sorted(members) == sorted(world.leaves)


def test_a_governed_job_on_hosts_of_their_own(world: Hosts) -> None:
    """Acceptance: 76, 104."""
    done = world.finish(world.b, world.run_arguments("-c", "layers=3-1 num-server-rounds=2"))

    assert done.returncode == 0, done.stderr
    check_rounds(world, 2)


def test_a_supernode_that_nobody_has_registered(world: Hosts) -> None:
    """It is turned away by the SuperLink; the registered ones go on."""
    key, _ = node_key(world.folder, "stranger")
    world.federation.places["stranger"] = world.user_hosts[0]
    stranger = world.federation.start(
        "stranger",
        [
            *(str(BIN / "flower-supernode"), "--superlink", world.federation.address),
            *("--root-certificates", str(world.authority.ca), "--port", "9399"),
            *("--auth-supernode-private-key", str(key)),
        ],
        {"FLWR_HOME": str(world.folder / "stranger-home")},
    )

    assert stranger.wait() != 0
    assert "Failed to initialize the connection" in stranger.output


def test_a_link_that_is_cut_in_a_round_costs_no_round_and_doubles_none(world: Hosts) -> None:
    """A user's link is down for 30 s while its app computes: the round waits for it."""
    world.job = world.post()
    node, host = world.nodes[1], world.user_hosts[1]
    admitted, sent = (node.output.count(what) for what in (ADMITTED, SENT))
    run = subprocess.Popen(
        world.b.command(world.run_arguments("-c", "layers=3-1 num-server-rounds=2")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **QUIET},
    )
    deadline = time.monotonic() + 120
    while node.output.count(ADMITTED) == admitted:
        assert time.monotonic() < deadline, node.output[-2000:]
        time.sleep(0.01)
    host.cut()
    time.sleep(CUT_SECONDS)
    cut_off = node.output.count(SENT)
    host.heal()

    out, err = run.communicate(timeout=400)

    assert run.returncode == 0, err + node.output[-4000:]
    assert cut_off == sent, "no reply left while the link was down"
    assert json.loads(out)["status"] == "completed"
    check_rounds(world, 2)
    assert node.output.count(ADMITTED) - admitted == 4
    assert node.output.count(SENT) - sent == 4


def test_a_stock_supernode_behind_a_gate_proxy_with_a_key_on_either_side(world: Hosts) -> None:
    """The proxy takes the place of the user's SuperNode, with its key and its memory."""
    world.job = world.post()
    world.move_gate(1)

    done = world.finish(world.b, world.run_arguments("-c", "layers=3-1 num-server-rounds=1"))

    assert done.returncode == 0, done.stderr
    check_rounds(world, 1)

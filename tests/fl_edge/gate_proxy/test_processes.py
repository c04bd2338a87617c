"""Real processes: chain, store, recorder, SuperLink, a gate proxy and a stock SuperNode."""

import json
from collections.abc import Iterator

import pytest

from datatoken.ports import free_port
from tests.fl_edge.harness import BIN, Process
from tests.fl_edge.superlink.test_processes import fl_edge_run, wait_for_document
from tests.fl_edge.superlink.world import World
from tests.support.chain import Chain

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Proxied(World):
    """User 1's gate is a process of its own."""

    def start_node(self, index: int) -> Process:
        """Start a gated SuperNode, or a gate proxy and a stock SuperNode behind it."""
        if index == 0:
            return super().start_node(index)
        port = str(free_port())
        command = [str(BIN / "fl-edge"), "gate-proxy", *self.gate_arguments(index)]
        gate = self.federation.start(f"gate-{index}", [*command, "--port", port])
        gate.wait_for("gate proxy listens")
        stock = [str(BIN / "flower-supernode"), "--insecure", "--superlink", f"127.0.0.1:{port}"]
        home = {"FLWR_HOME": str(self.folder / "stock-home")}
        self.federation.start(f"stock-{index}", [*stock, "--port", str(free_port())], home)
        self.nodes.append(gate)
        return gate


@pytest.fixture(scope="module")
def world(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two users, one behind a gate proxy."""
    made = Proxied(chain, tmp_path_factory.mktemp("proxied"), users=2)
    try:
        made.start()
        yield made
    finally:
        made.close()


def test_a_stock_supernode_behind_a_gate_proxy_takes_part(world: World) -> None:
    """Acceptance: 76, 79, 104, 106."""
    found = fl_edge_run(world, "-c", "layers=3-1 num-server-rounds=1")

    assert found.returncode == 0, found.stderr
    logged = wait_for_document(world, '"aggregate"')
    assert '"contributed": "2 of 2"' in logged
    assert world.leaves[1] in logged


def test_owner_behind_a_gate_proxy_whose_grant_is_used_up(world: World) -> None:
    """The same code as from the gate in the SuperNode's process. Acceptance: 79, 105."""
    world.job = world.post()
    world.grant(1, max_rounds=1)

    found = fl_edge_run(world, "-c", "layers=3-1 num-server-rounds=2")

    assert found.returncode == 10, found.stderr
    error = json.loads(found.stdout)["error"]
    assert error["code"] == "TOO_FEW_PARTICIPANTS"
    assert "ROUNDS_EXHAUSTED" in error["message"]

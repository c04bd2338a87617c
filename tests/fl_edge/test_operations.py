"""Real daemons as their operator sees them: metrics, health, logs, a backup, a new node key."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from datatoken import backup
from datatoken.chain.signer import Signer
from datatoken.ddo import canonical_bytes
from datatoken.errors import ExitCode
from datatoken.ports import free_port
from datatoken.roles import AssetOwner
from tests.fl_edge.harness import BIN, Process
from tests.fl_edge.superlink.test_processes import fl_edge_run, wait_for_document
from tests.fl_edge.superlink.world import World
from tests.support.chain import Chain, wait_until

pytestmark = pytest.mark.timeout(600)
YEAR = 365 * 86_400


@dataclass
class Watched(World):
    """A federation whose daemons serve metrics."""

    superlink_metrics: int = field(default_factory=free_port)
    node_metrics: dict[int, int] = field(default_factory=dict)

    def superlink_command(self, port: int) -> list[str]:
        return [*super().superlink_command(port), "--metrics-port", str(self.superlink_metrics)]

    def start_node(self, index: int) -> Process:
        return self.start_with(index, f"key-{index}", Signer.random())

    def delegate(self, index: int, key: Signer, expiry: int) -> Path:
        """Let the owner vouch for a node key."""
        owner = self.role(AssetOwner, self.chain.users[index], f"user-{index}")
        path = self.folder / f"delegation-{key.address}.json"
        path.write_bytes(canonical_bytes(owner.delegate(self.leaves[index], key.address, expiry)))
        return path

    def node_command(
        self, index: int, name: str, key: Signer, delegation: Path, state: Path
    ) -> list[str]:
        """Return the command of a node with a key and a state folder."""
        port = self.node_metrics[index] = free_port()
        return [
            *(str(BIN / "fl-edge"), "supernode", "--insecure"),
            *("--superlink", self.federation.address, "--dt", self.leaves[index]),
            *("--deployment", str(self.chain.deployment_path), "--store", str(self.store_path)),
            *("--state", str(state), "--node-key", str(self.keystore(name, key))),
            *("--password-file", str(self.password_file), "--delegation", str(delegation)),
            *("--metrics-port", str(port)),
        ]

    def start_with(self, index: int, name: str, key: Signer, state: Path | None = None) -> Process:
        """Start a user's node with a key that the owner vouches for."""
        delegation = self.delegate(index, key, int(time.time()) + YEAR)
        state = state or self.folder / f"node-{index}"
        command = self.node_command(index, name, key, delegation, state)
        process = self.federation.start(f"node-{index}-{name}", command)
        self.nodes.append(process)
        return process


def metrics(port: int) -> dict[str, float]:
    """Return what a daemon's /metrics says."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def health(port: int) -> tuple[int, dict[str, Any]]:
    """Return status and body of a daemon's /healthz."""
    answer = httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=30)
    return answer.status_code, answer.json()


def answers(port: int, status: int) -> bool:
    """Tell whether a daemon's /healthz answers so; not too often."""
    time.sleep(0.5)
    return health(port)[0] == status


def one_round(world: World) -> "subprocess.CompletedProcess[str]":
    """Run one round of the job."""
    return fl_edge_run(world, "-c", "layers=3-1 num-server-rounds=1")


@pytest.fixture(scope="module")
def world(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Two users, both needed; the second grants two rounds; one was run."""
    made = Watched(chain, tmp_path_factory.mktemp("operations"), users=2)
    try:
        made.grant(1, max_rounds=2)
        made.start()
        done = one_round(made)
        assert done.returncode == 0, done.stderr
        wait_for_document(made, '"aggregate"')
        yield made
    finally:
        made.close()


def test_metrics_of_a_supernode(world: Watched) -> None:
    wait_until(lambda: metrics(world.node_metrics[0])["datatoken_supernode_receipts_waiting"] == 0)

    found = metrics(world.node_metrics[0])

    assert found['datatoken_supernode_messages_total{kind="train",outcome="OK"}'] == 1
    assert found['datatoken_supernode_messages_total{kind="evaluate",outcome="OK"}'] == 1
    assert found["datatoken_supernode_rounds_total"] == 2
    assert found["datatoken_supernode_receipts_acknowledged"] == 2
    assert found["datatoken_supernode_decision_seconds_count"] == 2
    assert found['datatoken_supernode_decision_seconds_bucket{le="+Inf"}'] == 2
    assert found["datatoken_supernode_last_view_age_seconds"] >= 0


def test_metrics_of_a_superlink(world: Watched) -> None:
    found = metrics(world.superlink_metrics)

    assert found['datatoken_superlink_messages_total{kind="run",outcome="OK"}'] == 1
    assert found['datatoken_superlink_messages_total{kind="train",outcome="OK"}'] == 2
    assert found["datatoken_superlink_rounds_total"] == 2
    assert found["datatoken_superlink_decision_seconds_count"] >= 3
    assert found["datatoken_superlink_claims_waiting"] == 0


def test_health_says_what_is_out_of_reach(world: Watched) -> None:
    """Acceptance: 111."""
    ports = (world.superlink_metrics, world.node_metrics[0])
    for port in ports:
        status, said = health(port)
        assert (status, said["chain"], said["recorder"]) == (200, "ok", "ok")
    recorder = next(one for one in world.federation.processes if one.name == "recorder")

    recorder.stop()
    try:
        for port in ports:
            wait_until(partial(answers, port, 503), 30)
            status, said = health(port)
            assert said["chain"] == "ok"
            assert "gave no answer" in said["recorder"]
    finally:
        world.start_recorder()
    for port in ports:
        wait_until(partial(answers, port, 200), 30)


def test_every_line_of_the_logs_is_json(world: Watched) -> None:
    expected = {
        ("superlink", "round released"): {"dt", "job", "run", "round", "kind"},
        ("node-0-key-0", "reply sent"): {"dt", "job", "run", "sequence", "receipt"},
        ("recorder", "round logged"): {"job", "round", "tx"},
    }
    for (name, event), ids in expected.items():
        path = world.folder / f"{name}.log"
        lines = [line for line in path.read_text().splitlines() if line]
        if name == "recorder":  # its stdout, in the same file, is for the one who starts it
            lines = [line for line in lines if line.startswith("{")]

        plain = [json.loads(line) for line in lines]

        assert all({"event", "level", "timestamp"} <= set(line) for line in plain), name
        found = [line for line in plain if line["event"] == event]
        assert found, name
        assert set(found[0]) >= ids
        assert "\x1b[" not in path.read_text()


def test_gate_goes_on_from_a_backup_that_was_taken_while_it_ran(
    world: Watched, tmp_path: Path
) -> None:
    """What it has counted is not forgotten: the third round of two is refused."""
    node, key = world.nodes[1], Signer.random()
    backup.create(world.folder / "node-1", tmp_path / "node.backup")
    os.killpg(node.child.pid, signal.SIGKILL)
    node.wait()

    backup.restore(tmp_path / "node.backup", tmp_path / "elsewhere")
    world.start_with(1, "elsewhere", key, tmp_path / "elsewhere").wait_for("gate in place")
    second, third = one_round(world), one_round(world)

    assert second.returncode == 0, second.stderr
    assert "ROUNDS_EXHAUSTED" in json.loads(third.stdout)["error"]["message"]
    found = metrics(world.node_metrics[1])
    refused = 'datatoken_supernode_messages_total{kind="train",outcome="ROUNDS_EXHAUSTED"}'
    assert found[refused] == 1
    assert found["datatoken_supernode_receipts_acknowledged"] >= 3


def test_node_key_is_replaced_and_the_job_goes_on(world: Watched) -> None:
    """The owner vouches for another key; the SuperNode starts with it on the same state."""
    world.grant(1)
    before = len(json.dumps(world.documents()))
    new = Signer.random()
    world.nodes[0].stop()

    world.start_with(0, "new", new).wait_for("gate in place")
    done = one_round(world)

    assert done.returncode == 0, done.stderr
    logged = wait_for_document(world, new.address)
    assert len(logged) > before
    wait_until(lambda: metrics(world.node_metrics[0])["datatoken_supernode_receipts_waiting"] == 0)


def test_old_node_key_after_its_delegation_ended(world: Watched, tmp_path: Path) -> None:
    """Nothing connects, and the sentence says what to do."""
    key, delegation = Signer.random(), tmp_path / "delegation.json"
    short = world.delegate(0, key, int(time.time()) + 2)
    delegation.write_bytes(short.read_bytes())
    time.sleep(3)
    command = world.node_command(0, "old", key, delegation, tmp_path / "state")

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == ExitCode.BAD_INPUT
    assert "expired" in done.stderr
    assert "Traceback" not in done.stderr

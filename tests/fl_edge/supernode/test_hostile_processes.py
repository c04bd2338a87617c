"""Real SuperLink, SuperNode and app processes: what was exploited on a bare node is refused.

One hostile SuperLink and one gated SuperNode serve all of it: that every lie is answered and
the next message is computed shows that the loop goes on. The same is run with a stock SuperNode
behind a gate proxy.
"""

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flwr.cli.build import build_fab_from_disk

from datatoken.ports import free_port
from datatoken.types import sha256_hex
from tests.fl_edge.harness import BIN, ROOT, Federation, Process, write_app

PROBE = ROOT / "tests" / "fl_edge" / "probe"
SECRET = "patient 4711"
Step = dict[str, Any]
pytestmark = pytest.mark.timeout(1200)

LIES = {
    "evaluate around train": "ENVELOPE_MISMATCH",
    "another group": "ENVELOPE_MISMATCH",
    "tree of nonsense": "MALFORMED_MESSAGE",
    "tree without a leaf": "MALFORMED_MESSAGE",
    "other bytes": "MALFORMED_MESSAGE",
    "version with a path": "RUN_NOT_ACCEPTED",
    "agentapp": "RUN_NOT_ACCEPTED",
    "override of another type": "PARAMETERS_OUTSIDE_TERMS",
    "unknown override": "PARAMETERS_OUTSIDE_TERMS",
    "swapped bundle": "OPERATION_MISMATCH",
}
"""Lies about a run come before the first honest message: an accepted run is not asked again."""
RUN_LIES = [
    "version with a path",
    "agentapp",
    "override of another type",
    "unknown override",
    "swapped bundle",
]
MESSAGE_LIES = [
    "evaluate around train",
    "another group",
    "tree of nonsense",
    "tree without a leaf",
    "other bytes",
]
WITHHELD = [
    "metric_list",
    "config_record",
    "extra_arrays",
    "extra_array",
    "reshaped",
    "text_in_name",
    "text_in_record_name",
    "not_finite",
    "trailing_bytes",
    "group_id",
]


@dataclass
class World:
    """A running federation and what its one long run brought."""

    federation: Federation
    node: Process
    app: Path
    folder: Path
    steps: list[Step]
    found: list[dict[str, Any]]
    shown: str

    def of(self, **step: object) -> dict[str, Any]:
        """Return what came back for a step."""
        return self.found[self.steps.index(dict(step))]

    def run(self, steps: list[Step]) -> list[dict[str, Any]]:
        """Run the probe app with another plan."""
        return _run(self.federation, self.app, self.folder, steps)[0]


def _run(
    federation: Federation, app: Path, folder: Path, steps: list[Step]
) -> tuple[list[dict[str, Any]], str]:
    plan, out, lie = folder / "plan.json", folder / "out.json", folder / "lie"
    plan.write_text(json.dumps(steps))
    out.unlink(missing_ok=True)
    # A lie about the run has to be told from its first message on.
    lie.write_text(steps[0].get("lie", ""))
    shown = federation.run(app, {"plan": plan, "out": out, "lie": lie}, seconds=900)
    assert out.exists(), shown[-4000:]
    return json.loads(out.read_text()), shown


MODES = ["in process", pytest.param("behind a proxy", marks=pytest.mark.slow)]


def start_node(federation: Federation, folder: Path, mode: str) -> Process:
    """Start a gated SuperNode; return the process with the gate in it."""
    secrets = {"MY_SECRET": "1", "KEYSTORE_PASSWORD": "hunter2"}
    proxied, port = mode != "in process", str(free_port())
    module = "gate_proxy.gated_proxy" if proxied else "supernode.gated_node"
    command = ["python", "-m", f"tests.fl_edge.{module}", str(folder / "node")]
    command += [str(folder / "fabs"), federation.address, port]
    gate = federation.start("gate", command, secrets)
    if not proxied:
        gate.wait_for("SuperNode ID")
        return gate
    gate.wait_for("gate proxy listens")
    stock = [str(BIN / "flower-supernode"), "--insecure", "--superlink", f"127.0.0.1:{port}"]
    home = {"FLWR_HOME": str(folder / "node" / "flwr")}
    federation.start("stock", [*stock, "--port", str(free_port())], home).wait_for("SuperNode ID")
    return gate


@pytest.fixture(scope="module", params=MODES)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """One hostile SuperLink, one gated SuperNode, one run through all steps."""
    folder = tmp_path_factory.mktemp("hostile")
    config = {"plan": "", "out": "", "lie": "", "epochs": 1}
    client, server = ((PROBE / name).read_text() for name in ("client.py", "server.py"))
    app = write_app(folder / "app", client, server, config)
    fab = build_fab_from_disk(app)
    (folder / "fabs").write_text(sha256_hex(fab if isinstance(fab, bytes) else fab[0]))
    steps: list[Step] = [
        *({"lie": lie} for lie in RUN_LIES),
        {"mode": "honest"},
        *({"lie": lie} for lie in MESSAGE_LIES),
        {"lie": "asks for objects never offered"},
        *({"mode": mode} for mode in WITHHELD),
        {"mode": "raises"},
        {"mode": "honest", "kind": "evaluate"},
        {"mode": "only_metrics", "kind": "evaluate"},
        {"mode": "environment", "kind": "query"},
        {"mode": "only_metrics"},
    ]
    with Federation(folder) as federation:
        hostile = ["python", "-m", "tests.fl_edge.hostile_superlink"]
        federation.superlink(hostile, {"LIE_FILE": str(folder / "lie")})
        node = start_node(federation, folder, request.param)
        found, shown = _run(federation, app, folder, steps)
        yield World(federation, node, app, folder, steps, found, shown)


def reason(answer: dict[str, Any]) -> str:
    """Return the reason code of a refusal."""
    matched = re.match(r"refused by data owner: ([A-Z_]+): \S.*", answer.get("reason") or "")
    assert matched, answer
    return matched[1]


def test_an_honest_message_is_computed(world: World) -> None:
    """A granted app answers, after five lies about its run were refused.

    Acceptance: 79, 102
    """
    answer = world.of(mode="honest")
    assert answer["first"] == [1.0, 2.0]
    assert answer["metrics"]["metrics"]["loss"] == 0.5


@pytest.mark.parametrize("lie", RUN_LIES + MESSAGE_LIES)
def test_server_supplied_trust_fields(world: World, lie: str) -> None:
    """Every lie of the SuperLink is answered with its reason, and the loop goes on.

    Threats: server-supplied trust fields, envelope and message disagree, swapped bundle after
    approval. Acceptance: 103, 104, 111
    """
    assert reason(world.of(lie=lie)) == LIES[lie]
    assert world.of(mode="only_metrics")["metrics"], "the node has stopped answering"


def test_objects_never_asked_for(world: World) -> None:
    """A SuperLink that asks for objects never offered gets those that were offered, no more."""
    assert world.of(lie="asks for objects never offered")["first"] == [1.0, 2.0]
    assert "asks for objects that were not offered" in world.node.output


def test_every_reply_has_a_receipt(world: World) -> None:
    """Each reply that left has a receipt on the owner's disk. Acceptance: 106, 107."""
    path = world.folder / "node" / "history.sqlite"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as history:
        (stored,) = history.execute("SELECT count(*) FROM receipts").fetchone()
    sent = world.node.output.count('"reply sent"')
    assert stored == sent > 0


@pytest.mark.parametrize("mode", WITHHELD)
def test_data_in_metrics_names_or_arrays(world: World, mode: str) -> None:
    """What the operation does not declare stays: lists, records, arrays, names, hidden bytes.

    Threat: data in metrics, names or error texts. Acceptance: 80
    """
    answer = world.of(mode=mode)
    assert reason(answer) == "REPLY_WITHHELD"
    assert SECRET not in json.dumps(answer)


def test_exception_text_stays_with_the_owner(world: World) -> None:
    """An app's error leaves by code.

    Threat: data in metrics, names or error texts. Acceptance: 80
    """
    answer = world.of(mode="raises")
    assert reason(answer) == "APP_FAILED"
    assert answer["code"] == 2
    assert SECRET not in json.dumps(answer)
    assert SECRET in world.node.output
    assert SECRET not in world.shown


def test_evaluate_carries_no_arrays(world: World) -> None:
    """Acceptance: 80."""
    assert reason(world.of(mode="honest", kind="evaluate")) == "REPLY_WITHHELD"
    assert world.of(mode="only_metrics", kind="evaluate")["arrays"] == {}


def test_secret_in_the_environment_of_an_operation(world: World) -> None:
    """The app's process inherits no secret of the launcher's. Acceptance: 102."""
    answer = world.of(mode="environment", kind="query")
    assert answer["metrics"]["metrics"]["secrets"] == 0


def test_shared_series_id(world: World) -> None:
    """Two runs under one series id do not see each other's state. Acceptance: 102, 103."""
    step = {"lie": "shared series", "mode": "remember", "kind": "query"}
    first = world.run([step, step])
    second = world.run([step])
    assert [a["metrics"]["metrics"]["seen"] for a in first] == [0, 1]
    assert [a["metrics"]["metrics"]["seen"] for a in second] == [0]


def test_fab_folder_collision(world: World) -> None:
    """A folder that stands where the app would be installed is never run.

    Threat: FAB folder collision. Acceptance: 103
    """
    short = (world.folder / "fabs").read_text()[2:10]
    package = world.folder / "node" / "flwr" / "apps" / f"tests.probe.1.0.0.{short}"
    client = package / "probe" / "client.py"
    assert client.exists(), "flwr installs apps somewhere else"
    client.write_text(client.read_text().replace("POISONED = 0", "POISONED = 1"))
    answer = world.run([{"mode": "honest"}])[0]
    assert answer["metrics"]["metrics"]["poisoned"] == 0

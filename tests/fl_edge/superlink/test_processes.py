"""Real processes: anvil, store, recorder, gated SuperLink, gated SuperNodes, `flwr run`."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from datatoken.chain.anvil import Anvil
from datatoken.ddo import Terms
from datatoken.ports import free_port
from fl_edge.cli.publish import build_app
from tests.fl_edge.harness import BIN, QUIET, write_app
from tests.fl_edge.superlink.world import HERE, World
from tests.support.chain import Chain

pytestmark = pytest.mark.timeout(600)
SMALL = {"layers": "3-1", "num-server-rounds": 1}


def fl_edge_command(world: World, *more: str) -> list[str]:
    """Return `fl-edge run` as the consumer, with the composite owner's key at hand."""
    chain = world.chain
    return [
        *(str(BIN / "fl-edge"), "run", world.job, "--insecure"),
        *("--superlink", world.federation.address, "--folder", str(world.folder / "cli")),
        *("--deployment", str(chain.deployment_path), "--store", str(world.store_path)),
        *("--keystore", str(world.keystore("b", chain.b.signer))),
        *("--announce-keystore", str(world.keystore("a", chain.a.signer))),
        *("--password-file", str(world.password_file), "--format", "json", *more),
    ]


def fl_edge_run(world: World, *more: str) -> "subprocess.CompletedProcess[str]":
    """Run `fl-edge run` to its end."""
    return subprocess.run(
        fl_edge_command(world, *more),
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, **QUIET},
        check=False,
    )


def wait_for_document(world: World, wanted: str, seconds: float = 60) -> str:
    """Return the recorder's documents as text once `wanted` is in it."""
    deadline = time.monotonic() + seconds
    while wanted not in (text := json.dumps(world.documents())):
        assert time.monotonic() < deadline, text
        time.sleep(0.5)
    return text


@pytest.fixture(scope="module")
def world(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two users; nobody revokes here."""
    made = World(chain, tmp_path_factory.mktemp("superlink"), users=2)
    try:
        made.start()
        yield made
    finally:
        made.close()


def test_user_of_flwr_run_is_told_why_an_unannounced_run_is_refused(world: World) -> None:
    """Acceptance: 76, 77."""
    seen = world.federation.run(world.write_fab_app(), SMALL)

    assert "NOT_ANNOUNCED" in seen
    assert "Nothing was started" in seen


def test_plain_flwr_run_of_an_announced_job(world: World) -> None:
    """Acceptance: 36, 104."""
    world.request(**SMALL)

    seen = world.federation.run(world.write_fab_app(), SMALL)

    assert "Governed: at least 2 owners a round" in seen
    assert "aggregate_evaluate: Received 2 results and 0 failures" in seen
    logged = wait_for_document(world, '"aggregate"')
    assert '"contributed": "2 of 2"' in logged


def test_same_app_with_one_line_changed(world: World, tmp_path: Path) -> None:
    """Acceptance: 102, 103."""
    app = tmp_path / "changed"
    shutil.copytree(world.write_fab_app(), app)
    client = app / "edge_op" / "client_app.py"
    client.write_text(client.read_text() + "# one more line\n")

    seen = world.federation.run(app, {**SMALL, "datatoken-job": world.job})

    assert "OPERATION_MISMATCH" in seen
    assert "Nothing was started" in seen


def test_app_of_no_job_at_all(world: World, tmp_path: Path) -> None:
    """Acceptance: 48."""
    app = write_app(
        tmp_path / "unposted",
        (HERE / "foreign" / "client.py").read_text(),
        (HERE / "foreign" / "server.py").read_text(),
        {"strategy": "fedavg", "rounds": 1, "step": 1.0},
    )

    seen = world.federation.run(app, {})

    assert "JOB_UNKNOWN" in seen
    assert "datatoken job post" in seen


def test_fl_edge_run_ends_with_its_result(world: World) -> None:
    """Acceptance: 76, 112."""
    found = fl_edge_run(world, "-c", "layers=3-1 num-server-rounds=1")

    assert found.returncode == 0, found.stderr
    result = json.loads(found.stdout)
    assert result["status"] == "completed"
    assert any("[ROUND 1/1]" in line for line in result["log"])


def test_fl_edge_run_refuses_before_anything_is_sent(world: World) -> None:
    found = fl_edge_run(world, "-c", "step=99.0")

    assert found.returncode == 4
    assert json.loads(found.stdout)["error"]["code"] == "PARAMETERS_OUTSIDE_TERMS"


def test_resume_without_a_job_that_was_ever_logged(world: World) -> None:
    earlier, world.job = world.job, world.post()
    try:
        found = fl_edge_run(world, "--resume", "-c", "layers=3-1")
    finally:
        world.job = earlier

    assert found.returncode == 4
    assert "no logged aggregate" in found.stderr


def test_second_superlink_on_a_port_in_use(world: World) -> None:
    command = world.superlink_command(world.federation.port)
    command[command.index(str(world.folder / "superlink"))] = str(world.folder / "second")

    found = subprocess.run(
        [str(BIN / command[0]), *command[1:]], capture_output=True, text=True, check=False
    )

    assert found.returncode == 8
    assert f"Port {world.federation.port} on 127.0.0.1 can't be used" in found.stderr
    assert "Traceback" not in found.stderr


def test_superlink_with_a_key_that_is_not_the_owners(world: World) -> None:
    command = world.superlink_command(free_port())
    stranger = world.keystore("stranger", world.chain.b.signer)
    command[command.index(str(world.folder / "a.json"))] = str(stranger)
    command[command.index(str(world.folder / "superlink"))] = str(world.folder / "third")

    found = subprocess.run(
        [str(BIN / command[0]), *command[1:]], capture_output=True, text=True, check=False
    )

    assert found.returncode == 3
    assert "is not the owner's of DT" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.fixture(scope="module")
def foreign(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An unchanged app under governance: three users, two have to take part."""
    folder = tmp_path_factory.mktemp("foreign")
    app = write_app(
        folder / "app",
        (HERE / "foreign" / "client.py").read_text(),
        (HERE / "foreign" / "server.py").read_text(),
        {"strategy": "fedadam", "rounds": 1, "step": 1.0},
    )
    made = World(
        chain, folder / "world", users=3, terms=Terms(min_participants=2), app=build_app(app)
    )
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("strategy", ["fedadam", "krum"])
def test_app_whose_author_never_heard_of_us_is_governed_and_logged(
    foreign: World, strategy: str
) -> None:
    """Acceptance: 48, 104."""
    found = fl_edge_run(foreign, "-c", f"strategy={strategy}")

    assert found.returncode == 0, found.stderr
    log = "\n".join(json.loads(found.stdout)["log"])
    assert "first number:" in log
    assert "secrets seen: []" in log
    assert "Governed: at least 2 owners a round" in log
    assert '"contributed": "3 of 3"' in wait_for_document(foreign, '"aggregate"')


def test_one_owner_revokes_and_the_others_go_on(foreign: World) -> None:
    """Acceptance: 105."""
    foreign.revoke(0)

    found = fl_edge_run(foreign, "-c", "strategy=fedavg")

    assert found.returncode == 0, found.stderr
    assert "Received 2 results and 1 failures" in found.stderr


def test_loop_of_ones_own_that_ignores_who_is_missing(foreign: World) -> None:
    """No strategy to wrap: the SuperLink itself counts. Acceptance: 105."""
    for index in (1, 2):
        foreign.grant(index, max_rounds=1)

    found = fl_edge_run(foreign, "-c", "strategy=own rounds=2")

    assert "got 2" in found.stderr
    assert "got 0" in found.stderr
    assert found.returncode == 10, found.stderr
    error = json.loads(found.stdout)["error"]
    assert error["code"] == "TOO_FEW_PARTICIPANTS"
    assert "ROUNDS_EXHAUSTED" in error["message"]


def test_chain_stops_mid_run_and_resume_finishes_it(new_chain, tmp_path: Path) -> None:
    """Acceptance: 104, 111."""
    state = tmp_path / "anvil.state"
    chain = new_chain(state=state)
    world = World(chain, tmp_path / "world", users=2)
    try:
        world.start()
        arguments = ["-c", "layers=3-1 num-server-rounds=4"]
        run = subprocess.Popen(
            fl_edge_command(world, *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **QUIET},
        )
        wait_for_document(world, '"round": "1"', 120)
        port = chain.anvil.port
        chain.anvil.stop()

        out, err = run.communicate(timeout=200)

        assert run.returncode == 5, err
        assert json.loads(out)["error"]["code"] == "CHAIN_UNREACHABLE"
        chain.anvil = Anvil.start(port=port, state=state)
        again = fl_edge_run(world, "--resume", *arguments)
        assert again.returncode == 0, again.stderr
        assert "Going on after round" in again.stderr
    finally:
        world.close()

"""What `fl-edge run` builds and refuses, over a real chain and store; nothing listens here."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.cli.errors import run
from datatoken.ddo import Terms
from datatoken.ddo.terms import Constraint
from datatoken.errors import BadInputError
from datatoken.ports import free_port
from datatoken.roles import AssetOwner, Institution
from datatoken.types import sha256_hex
from fl_edge.cli.app import app
from fl_edge.control.plan import make_plan
from tests.fl_edge.superlink.world import World
from tests.support.chain import Chain, fresh


@pytest.fixture(scope="module")
def world(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A posted job, and a SuperLink that answers: flwr's own, which knows nothing of it."""
    terms = Terms(parameters={"step": Constraint(maximum=5.0)})
    made = World(chain, tmp_path_factory.mktemp("plan"), users=2, terms=terms)
    made.federation.superlink()
    yield made
    made.close()


def command(world: World, *more: str, keystore: str = "b", superlink: str = "") -> int:
    signer = {"a": world.chain.a.signer, "b": world.chain.b.signer}[keystore]
    arguments = [
        *("run", world.job, "--insecure"),
        *("--superlink", superlink or world.federation.address),
        *("--folder", str(world.folder / "cli"), "--store", str(world.store_path)),
        *("--deployment", str(world.chain.deployment_path)),
        *("--keystore", str(world.keystore(keystore, signer))),
        *("--password-file", str(world.password_file), "--format", "json", *more),
    ]
    return run(app, "fl-edge", arguments)


def test_plan_is_built_from_the_registered_bundles(world: World) -> None:
    """Acceptance: 17, 36, 103."""
    plan = make_plan(world.site("plan"), world.job, {"layers": "3-1"})

    assert plan.fab == world.fab
    assert plan.server == world.composite
    assert plan.composite
    assert plan.parameters["layers"] == "3-1"
    assert plan.parameters["num-server-rounds"] == 3


def test_job_that_does_not_exist(world: World) -> None:
    """Acceptance: 48."""
    with pytest.raises(Refused) as refused:
        make_plan(world.site("plan"), fresh(), {})

    assert refused.value.reason is Reason.JOB_UNKNOWN


def test_job_that_is_paused(world: World) -> None:
    institution = world.role(Institution, world.chain.b, "b")
    job = world.post()
    institution.pause(job)

    with pytest.raises(Refused, match=r"JOB_NOT_OPEN.*is paused"):
        make_plan(world.site("plan"), job, {})


def test_parameter_that_the_app_does_not_declare(world: World) -> None:
    with pytest.raises(BadInputError, match="does not declare the parameter 'hidden'"):
        make_plan(world.site("plan"), world.job, {"hidden": 1})


@pytest.mark.parametrize("step", [5.5, 99.0])
def test_parameter_outside_schema_or_terms(world: World, step: float) -> None:
    with pytest.raises(Refused) as refused:
        make_plan(world.site("plan"), world.job, {"step": step})

    assert refused.value.reason is Reason.PARAMETERS_OUTSIDE_TERMS


def test_request_of_somebody_who_is_not_the_algorithms_owner(world: World, capsys) -> None:
    """Acceptance: 112."""
    assert command(world, keystore="a") != 0

    assert json.loads(capsys.readouterr().out)["error"]["code"] != "INTERNAL"


def test_run_that_the_composites_owner_has_not_announced(world: World, capsys) -> None:
    """Acceptance: 76, 77."""
    assert command(world, "--wait", "0") == 4

    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "NOT_ANNOUNCED"
    assert f"datatoken job announce {world.job} 0x" in error["message"]


def test_request_that_was_signed_and_announced_before_is_taken_up(world: World, capsys) -> None:
    command(world, "--wait", "0")
    text = json.loads(capsys.readouterr().out)["error"]["message"]
    digest = text.split("--request ")[1].split(".")[0]
    world.role(AssetOwner, world.chain.a, "a").announce(world.job, digest)

    command(world, "--wait", "0", "--request", digest)

    # It went on to the SuperLink, which is not a governed one and does not know our keys.
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] != "NOT_ANNOUNCED"
    assert world.site("x").reader.announcement(world.job, world.composite) == digest


def test_superlink_that_does_not_answer(world: World, capsys, monkeypatch) -> None:
    """Nothing is signed or announced then."""
    monkeypatch.setattr("fl_edge.cli.run.REACH_SECONDS", 1.0)
    key = str(world.keystore("a", world.chain.a.signer))
    before = world.site("x").reader.announcement(world.job, world.composite)

    code = command(world, "--announce-keystore", key, superlink=f"127.0.0.1:{free_port()}")

    assert code == 8
    captured = capsys.readouterr()
    assert "does not answer" in captured.err
    assert "Traceback" not in captured.err
    assert world.site("x").reader.announcement(world.job, world.composite) == before


def test_certificates_that_can_not_be_read(world: World, tmp_path: Path, capsys) -> None:
    key = str(world.keystore("a", world.chain.a.signer))
    none = str(tmp_path / "none.pem")

    code = command(world, "--announce-keystore", key, "--root-certificates", none)

    assert code == 3
    assert "certificates can't be used" in capsys.readouterr().err


def test_announcement_names_the_fab_that_is_built(world: World) -> None:
    """The composite's owner builds it too, and compares. Acceptance: 76."""
    key = str(world.keystore("a", world.chain.a.signer))
    command(world, "--announce-keystore", key)

    digest = world.site("x").reader.announcement(world.job, world.composite)
    request = AssetOwner(world.site("x"), world.chain.a.signer).request(digest)
    assert request.request.operation == sha256_hex(world.fab)

"""``datatoken doctor``: each fault is named, with what mends it, and nothing else is hidden."""

import sys
from pathlib import Path
from typing import Any

import pytest

from datatoken.chain.deployment import Deployment
from datatoken.chain.signer import PUBLIC_ACCOUNTS, Signer
from datatoken.doctor import Finding, State, machine, worst
from datatoken.doctor.findings import attempt
from datatoken.errors import BadInputError
from datatoken.ports import free_port
from tests.cli.conftest import Cli, Result, call
from tests.support.chain import Chain


def findings(result: Result, area: str) -> list[dict[str, Any]]:
    return [found for found in result.json["findings"] if found["area"] == area]


def faults(result: Result) -> list[str]:
    return [
        f"{found['what']} {found['mend']}"
        for found in result.json["findings"]
        if found["state"] == "error"
    ]


def test_sound_installation(cli: Cli) -> None:
    result = cli("doctor", "--format", "json")

    assert (result.code, faults(result)) == (0, [])
    areas = {found["area"] for found in result.json["findings"]}
    assert {"python", "packages", "folder", "keys", "chain", "store", "flower", "mpc"} <= areas
    assert "Nothing to mend." in cli("doctor").out


def test_nothing_is_set_up_yet(tmp_path: Path) -> None:
    result = call("doctor", "--format", "json", folder=tmp_path / "new")

    assert result.code == 8
    assert any("datatoken up" in fault for fault in faults(result))
    assert findings(result, "store")[0]["state"] == "ok"  # what can be looked at is looked at


def test_endpoint_that_is_away_or_another_chain(chain: Chain, tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    deployment = chain.deployment.model_copy(
        update={"rpc_urls": (*chain.deployment.rpc_urls, dead), "quorum": 1}
    )
    deployment.save(tmp_path / "deployment.json")

    result = call("doctor", "--format", "json", folder=tmp_path)

    assert result.code == 8
    assert [dead in fault for fault in faults(result)] == [True]


def test_contracts_of_a_chain_that_was_started_anew(chain: Chain, tmp_path: Path) -> None:
    moved = chain.deployment.model_copy(update={"log": "0x" + "17" * 20})
    moved.save(tmp_path / "deployment.json")

    result = call("doctor", "--format", "json", folder=tmp_path)

    assert result.code == 8
    assert any("no log contract" in fault for fault in faults(result))


def test_keystore_that_others_can_read_and_one_that_is_broken(cli: Cli, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    Signer.create(keys / "mine.json", "secret", work=2**12)
    (keys / "mine.json").chmod(0o644)
    (keys / "other.json").write_text("{}")
    Deployment.load(cli.folder / "deployment.json").save(tmp_path / "deployment.json")

    result = call("doctor", "--format", "json", folder=tmp_path)

    states = {(found["state"], found["what"]) for found in findings(result, "keys")}
    assert ("warning", f"Others on this machine can read {keys / 'mine.json'}.") in states
    assert ("error", f"{keys / 'other.json'} is no keystore.") in states


@pytest.mark.parametrize(("trial", "state"), [(True, None), (False, State.ERROR)])
def test_public_key_on_a_real_chain(tmp_path: Path, trial: bool, state: State | None) -> None:
    """Threat: a development key that all the world has."""
    path = tmp_path / "dev.json"
    path.write_text("{}")
    address = next(iter(PUBLIC_ACCOUNTS))

    found = list(machine.keys(tmp_path, lambda _: address, trial=trial))

    assert next((one.state for one in found if "public development" in one.what), None) is state


def test_recorder_that_is_away(cli: Cli) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    result = cli("doctor", "--recorder", url, "--format", "json")

    assert result.code == 8
    assert "out of reach" in findings(result, "recorder")[0]["what"]


def test_folder_that_cannot_be_written() -> None:
    (found,) = machine.folder(Path("/proc/nothing"))

    assert found.state is State.ERROR


def test_python_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 0, "final", 0))

    assert next(machine.python()).state is State.ERROR


def test_a_check_that_breaks_is_a_finding() -> None:
    def refuse() -> list[Finding]:
        raise BadInputError("It is wrong.", "Do it right.")

    def crash() -> list[Finding]:
        raise KeyError("x")

    assert attempt("a", refuse) == [Finding("a", State.ERROR, "It is wrong.", "Do it right.")]
    assert attempt("a", crash)[0].state is State.ERROR


def test_worst_state_is_what_counts() -> None:
    assert worst([]) is State.OK
    assert worst([Finding("a", state, "") for state in reversed(State)]) is State.ERROR

"""``datatoken network`` and ``datatoken deploy``: on a node with PlatON's rules."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from datatoken.chain.anvil import Anvil
from datatoken.chain.profiles import load_profile
from datatoken.chain.stand_in import start_network
from tests.cli.conftest import Cli, call


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with start_network(load_profile("platon-stand-in")) as started:
        yield started


def test_the_administrator_deploys_to_a_node_and_anybody_sees_its_rules(
    node: Anvil, tmp_path: Path
) -> None:
    """The profile follows from the chain's id. Acceptance: 1, 97 (PlatON)."""
    # Prepare
    (tmp_path / "password").write_text("secret")
    key = ("--keystore", "admin", "--password-file", tmp_path / "password")
    made = call("key", "create", "admin", *key[2:], "--format", "json", folder=tmp_path)
    assert made.code == 0, made.err
    node.fund(made.json["address"])
    deploy = ("deploy", "--rpc", node.url, *key, "--format", "json")
    # Execute
    first = call(*deploy, folder=tmp_path)
    again = call(*deploy, folder=tmp_path)
    shown = call("network", "--format", "json", folder=tmp_path)
    # Assert
    assert first.code == again.code == shown.code == 0, first.err + again.err + shown.err
    assert first.json == again.json
    assert json.loads((tmp_path / "deployment.json").read_text())["profile"] == "platon-dev"
    rules = shown.json
    assert (rules["name"], rules["chain_id"]) == ("platon-dev", 20250407)
    assert (rules["finality"], rules["poa"], rules["legacy_gas_price"]) == ("latest", True, True)
    assert (rules["view_gas"], rules["quorum"]) == (50_000_000, 1)
    (endpoint,) = rules["endpoints"]
    assert endpoint["problem"] is None
    assert abs(endpoint["behind"]) < 60
    plain = call("network", folder=tmp_path)
    assert "platon-dev" in plain.out
    assert call("institution", "list", folder=tmp_path).code == 0


def test_a_chain_of_ones_own_by_a_profile_in_a_file(tmp_path: Path) -> None:
    """The rules go into the deployment file, which others read without the profile."""
    rules = 'name = "ours"\nchain_id = 4711\npoa = true\nlegacy_gas_price = true\n'
    (tmp_path / "ours.toml").write_text(rules)
    (tmp_path / "password").write_text("secret")
    key = ("--keystore", "admin", "--password-file", tmp_path / "password")
    made = call("key", "create", "admin", *key[2:], "--format", "json", folder=tmp_path)
    with Anvil.start(chain_id=4711) as own:
        own.fund(made.json["address"])
        several = f"{own.url},{own.url.replace('127.0.0.1', 'localhost')}"
        given = ("--rpc", several, "--network", str(tmp_path / "ours.toml"))
        done = call("deploy", *given, *key, "--format", "json", folder=tmp_path)
        assert done.code == 0, done.err
        (tmp_path / "ours.toml").unlink()
        shown = call("network", "--format", "json", folder=tmp_path)

    assert shown.code == 0, shown.err
    assert (shown.json["name"], shown.json["chain_id"], shown.json["quorum"]) == ("ours", 4711, 2)


def test_several_endpoints_and_their_quorum(cli: Cli) -> None:
    url = cli.run("status")["url"]
    both = ("--rpc", f"{url},http://127.0.0.1:9")

    shown = cli.run("network", *both)
    alone = call("institution", "list", *both, "--quorum", 1, folder=cli.folder)
    disputed = call("institution", "list", *both, "--format", "json", folder=cli.folder)
    too_many = call("institution", "list", "--quorum", 3, folder=cli.folder)

    assert shown["quorum"] == 2
    assert [one["problem"] is None for one in shown["endpoints"]] == [True, False]
    assert alone.code == 0
    assert (disputed.code, disputed.error["code"]) == (5, "CHAIN_UNREACHABLE")
    assert too_many.code == 3


def test_nothing_is_deployed_without_an_endpoint(tmp_path: Path) -> None:
    assert call("deploy", folder=tmp_path).code == 3
    assert call("deploy", "--rpc", "http://127.0.0.1:9", folder=tmp_path).code == 5
    assert call("network", folder=tmp_path).code == 3

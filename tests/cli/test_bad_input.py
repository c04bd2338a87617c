"""Bad input: one clear sentence, a documented exit code, and nothing half done."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datatoken.chain.anvil import Anvil
from datatoken.chain.deployment import Deployment
from datatoken.ddo.canonical import validate
from datatoken.ddo.models import Metadata
from datatoken.ddo.proof import ddo_bytes, make_ddo
from datatoken.store.cid import flatfs_key
from datatoken.types import sha256_hex
from tests.cli.conftest import Cli, call
from tests.cli.documents import metadata, operation, publish, stored
from tests.support.chain import fresh

NOT_HEX = "0x1234"


@pytest.fixture(scope="session")
def edge(stack: Cli) -> str:
    return operation(stack)


def unchanged(cli: Cli, before: tuple[int, int]) -> None:
    assert stored(cli) == before


MALFORMED: dict[str, tuple[object, str]] = {
    "not JSON": (b"{", "not JSON"),
    "not UTF-8": (b"\xff\xfe{}", "not JSON"),
    "empty": (b"", "not JSON"),
    "a list": ([], "should be an object"),
    "the same key twice": (b'{"services":[],"services":[]}', "same key twice"),
    "NaN": (b'{"services":[{"type":"data","endpoint":NaN}]}', "not JSON"),
    "nested too deep": (b"[" * 2000 + b"]" * 2000, "nested deeper"),
    "no service": ({"services": []}, "services"),
    "two services": ({"services": [metadata()["services"][0]] * 2}, "services"),
    "unknown field": (metadata(accept_anything=True), "accept_anything"),
    "unknown term": (
        metadata(extra_params={"terms": {"max_round": 3}}),
        "max_round",
    ),
    "field of the DDO": ({**metadata(), "proof": "0x" + "00" * 32}, "proof"),
    "unknown type": (metadata(type="model"), "type"),
    "wrong type": (metadata(endpoint=5), "endpoint"),
    "a number for a text": (metadata(extra_params={"name": 7}), "name"),
    "a text for a number": (
        metadata(extra_params={"terms": {"max_rounds": "3"}}),
        "max_rounds",
    ),
    "a float for a number": (
        metadata(extra_params={"terms": {"max_rounds": 3.5}}),
        "max_rounds",
    ),
    "malformed child": (metadata(child_dts=[NOT_HEX]), "child_dts"),
    "workflows without children": (
        metadata(workflows=[{"set_ops": [{"self": "0x" + "11" * 32}]}]),
        "child_dts is empty but workflows is not",
    ),
    "children without workflows": (
        metadata(child_dts=["0x" + "11" * 32]),
        "workflows is empty",
    ),
    "oversized": (b" " * (256 * 1024 + 1), "larger than 262144 bytes"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_metadata(cli: Cli, case: str) -> None:
    """Acceptance: 20, 23, 27"""
    content, sentence = MALFORMED[case]
    path = cli.write("malformed.json", content)
    before = stored(cli)
    for command in (("dt", "check", path), ("dt", "publish", path)):
        error = cli.refuse(3, *command, key="a")
        assert error["code"] == "BAD_INPUT"
        assert sentence in error["message"]
    unchanged(cli, before)


def test_missing_file(cli: Cli) -> None:
    assert "cannot be read" in cli.refuse(3, "dt", "publish", "nowhere.json", key="a")["message"]


def test_child_that_does_not_exist(cli: Cli, edge: str) -> None:
    nobody = fresh()
    plain = metadata(child_dts=[nobody], workflows=[{"set_ops": [{"0": edge}]}])
    before = stored(cli)
    error = cli.refuse(3, "dt", "publish", cli.write("child.json", plain), key="a")
    assert error["code"] == "COMPOSITION"
    assert error["violations"] == [
        {"child": nobody, "field": "child_dts", "why": "this DT does not exist"}
    ]
    unchanged(cli, before)


def test_operation_not_registered(cli: Cli) -> None:
    """Acceptance: 28"""
    unknown = fresh()
    before = stored(cli)
    error = cli.refuse(3, "dt", "publish", cli.write("op.json", metadata(unknown)), key="a")
    assert error["violations"][0]["why"] == "this operation is not registered"
    assert cli.refuse(3, "op", "show", unknown)["message"].endswith("is not registered.")
    unchanged(cli, before)


def test_ddo_whose_bytes_differ_from_the_record(cli: Cli, edge: str) -> None:
    """Acceptance: 21. Threat: wrong bytes for a CID."""
    # Prepare: a byte of one DDO changes in the store
    child = publish(cli, metadata(edge), "user-1")
    plain = metadata(child_dts=[child], workflows=[{"set_ops": [{"0": edge}]}])
    parent = publish(cli, plain, "a")
    for path in (cli.folder / "store").rglob("*.data"):
        content = path.read_bytes()
        if child.encode() in content and parent.encode() in content:
            break
    else:
        pytest.fail("the parent's DDO is not in the store")
    path.write_bytes(content.replace(b"urn:", b"urn;"))
    # Execute, Assert
    for command in (
        ("dt", "show", parent),
        ("verify", "dt", parent),
        ("review", child, parent),
    ):
        assert "other bytes" in cli.refuse(6, *command)["message"]
    error = cli.refuse(6, "grant", child, parent, "--yes", key="user-1")
    assert error["code"] == "STORE"
    path.write_bytes(content)
    assert cli.run("review", child, parent)["granted"]["active"] is False


def test_ids_that_are_none(cli: Cli) -> None:
    for command in (
        ("dt", "show", NOT_HEX),
        ("trace", "abc"),
        ("job", "show", NOT_HEX),
        ("review", NOT_HEX, fresh()),
    ):
        result = cli(*command, "--format", "json")
        assert result.code == 2
        assert result.error["code"] == "USAGE"
        assert "64 hex digits" in result.err
    for command in (("dt", "show"), ("trace",), ("verify", "dt")):
        assert "no DT" in cli.refuse(3, *command, fresh())["message"]
    assert cli.refuse(4, "job", "show", fresh())["code"] == "JOB_UNKNOWN"
    assert cli.refuse(3, "task", "show", 999)["message"] == "There is no task 999."
    assert "neither an address" in cli.refuse(3, "user", "show", "nobody")["message"]


def test_keystore_and_password(cli: Cli, tmp_path: Path, edge: str) -> None:
    plain = cli.write("keys.json", metadata(edge))
    before = stored(cli)
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password")
    publish_ = ("dt", "publish", plain)
    error = cli.refuse(7, *publish_, "--password-file", wrong, key="a")
    assert error["code"] == "KEY" and "is wrong" in error["message"]
    assert "no keystore" in cli.refuse(7, *publish_, key="nobody")["message"]
    assert "No keystore is named" in cli.refuse(7, *publish_)["message"]
    broken = tmp_path / "broken.json"
    broken.write_text('{"version": 3}')
    error = cli.refuse(7, *publish_, "--password-file", wrong, key=str(broken))
    assert "not a keystore" in error["message"]
    missing = cli.refuse(7, *publish_, "--password-file", tmp_path / "none", key="a")
    assert "cannot be read" in missing["message"]
    # Nobody to ask
    alone = tmp_path / "alone"
    shutil.copytree(cli.folder / "keys", alone / "keys")
    (alone / "keys" / "password").unlink()
    shutil.copy(cli.folder / "deployment.json", alone)
    refused = call(*publish_, "--keystore", "a", "--format", "json", folder=alone)
    assert refused.code == 7 and "no terminal to ask on" in refused.err
    unchanged(cli, before)


def test_chain_of_the_wrong_id(cli: Cli, tmp_path: Path, edge: str) -> None:
    plain = cli.write("chain.json", metadata(edge))
    before = stored(cli)
    with Anvil.start(chain_id=4242) as other:
        error = cli.refuse(5, "dt", "publish", plain, "--rpc", other.url, key="a")
    assert error["code"] == "WRONG_CHAIN" and "4242" in error["message"]
    with Anvil.start() as empty:
        error = cli.refuse(5, "dt", "publish", plain, "--rpc", empty.url, key="a")
    assert error["code"] == "WRONG_CHAIN" and "no institutions contract" in error["message"]
    gone = cli.refuse(5, "dt", "list", "--rpc", "http://127.0.0.1:9")
    assert gone["code"] == "CHAIN_UNREACHABLE"
    unchanged(cli, before)


def test_deployment_file(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "deployment.json"
    assert "cannot be read" in cli.refuse(3, "dt", "list", "--deployment", file)["message"]
    file.write_text("{}")
    assert "not a deployment file" in cli.refuse(3, "dt", "list", "--deployment", file)["message"]
    plain: dict[str, Any] = json.loads((cli.folder / "deployment.json").read_text())
    file.write_text(json.dumps({**plain, "trust": "everybody"}))
    assert "trust" in cli.refuse(3, "dt", "list", "--deployment", file)["message"]


def test_store_not_writable(cli: Cli, tmp_path: Path, edge: str) -> None:
    """A store that cannot be written leaves nothing on the chain."""
    # Prepare: a copy of the store where every new shard is in the way of a file
    copy = tmp_path / "store"
    shutil.copytree(cli.folder / "store", copy)
    shards = {path.name for path in (copy / "blocks").iterdir()}
    for first, second in itertools.product("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", repeat=2):
        if first + second not in shards:
            (copy / "blocks" / (first + second)).write_text("in the way")
    plain = next(
        plain for plain in (metadata(edge) for _ in range(999)) if _shard(cli, plain) not in shards
    )
    path, before = cli.write("store.json", plain), stored(cli)
    # Execute
    error = cli.refuse(8, "dt", "publish", path, "--store", copy, key="a")
    # Assert
    assert error["code"] == "ENVIRONMENT" and "not writable" in error["message"]
    unchanged(cli, before)
    assert "not a store" in cli.refuse(3, "dt", "list", "--store", "ftp://x")["message"]
    (tmp_path / "file").write_text("")
    create = ("key", "create", tmp_path / "file" / "key.json", "--light")
    error = cli.refuse(8, *create, "--password-file", cli.folder / "keys" / "password")
    assert "cannot be written" in error["message"]


def _shard(cli: Cli, plain: dict[str, Any]) -> str:
    """Return the folder of the store that the DDO of account `a` will be in."""
    deployment = Deployment.load(cli.folder / "deployment.json")
    owner = cli.run("key", "address", "a")["address"]
    checked = validate(Metadata, plain, "metadata")
    ddo = make_ddo(checked, deployment.chain_id, deployment.tokens, owner)
    return flatfs_key(sha256_hex(ddo_bytes(ddo)))[-3:-1]


def test_state_folder_not_writable(cli: Cli, tmp_path: Path, edge: str) -> None:
    """No journal, no transaction."""
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    plain = cli.write("state.json", metadata(edge))
    tokens = len(cli.run("dt", "list"))
    arguments = (
        "--deployment", cli.folder / "deployment.json",
        "--store", cli.folder / "store",
        "--keystore", cli.folder / "keys" / "a.json",
        "--password-file", cli.folder / "keys" / "password",
    )  # fmt: skip
    result = call("dt", "publish", plain, *arguments, folder=in_the_way / "state")
    assert result.code == 8, result.err
    assert len(cli.run("dt", "list")) == tokens


def test_operation_documents(cli: Cli) -> None:
    bundle = cli.write("code.zip", b"print(1)\n")
    fields = {"name": "Op", "kind": "client", "entry_points": {"clientapp": "op:app"}}
    operations = len(cli.run("op", "list", "--all"))
    for wrong, sentence in (
        ({**fields, "kind": "magic"}, "kind"),
        ({**fields, "reveal": []}, "reveal"),
        ({**fields, "bundle": fresh()}, "bundle"),
        ({**fields, "messages": ["steal"]}, "messages"),
        ([], "not a JSON object"),
    ):
        document = cli.write("wrong.json", wrong)
        error = cli.refuse(3, "op", "register", bundle, document, key="administrator")
        assert sentence in error["message"]
    huge = cli.write("huge.zip", b"\0" * (1024 * 1024 + 1))
    document = cli.write("right.json", fields)
    error = cli.refuse(3, "op", "register", huge, document, key="administrator")
    assert "larger than" in error["message"]
    error = cli.refuse(9, "op", "register", bundle, document, key="a")
    assert error["code"] == "OWNABLE_UNAUTHORIZED_ACCOUNT"
    assert len(cli.run("op", "list", "--all")) == operations


def test_users_that_nobody_enrolled(cli: Cli, edge: str) -> None:
    """Acceptance: 39, 69"""
    before = stored(cli)
    plain = cli.write("stranger.json", metadata(edge))
    error = cli.refuse(9, "dt", "publish", plain, key="user-3")
    assert error["code"] == "NOT_PARTICIPANT"
    assert "datatoken user add" in error["hint"]
    unchanged(cli, before)


def test_terms_that_are_broken_are_all_listed(cli: Cli, edge: str) -> None:
    """Acceptance: 42"""
    terms = {"purposes": ["care"], "min_participants": 5}
    child = publish(cli, metadata(edge, extra_params={"terms": terms}), "user-1")
    other = operation(cli)
    plain = metadata(
        child_dts=[child],
        workflows=[{"set_ops": [{"0": other}]}],
        extra_params={"purpose": "ads"},
    )
    parent = publish(cli, plain, "a")
    result = cli("grant", child, parent, "--yes", "--keystore", "user-1", "--format", "json")
    assert result.code == 4 and result.error["code"] == "AGREEMENT"
    fields = {violation["field"] for violation in result.error["violations"]}
    assert fields == {"purpose", "supported_ops", "min_participants"}
    assert cli.run("review", child, parent)["granted"]["active"] is False


def test_moments_and_parameters(cli: Cli, edge: str) -> None:
    child = publish(cli, metadata(edge), "user-1")
    plain = metadata(child_dts=[child], workflows=[{"set_ops": [{"0": edge}]}])
    parent = publish(cli, plain, "a")
    grant = ("grant", child, parent, "--yes")
    assert "no moment" in cli.refuse(3, *grant, "--expiry", "soon", key="user-1")["message"]
    past = cli.refuse(3, *grant, "--expiry", "2020-01-01", key="user-1")
    assert "lies in the past" in past["message"]
    made = ("dt", "make", "--type", "data", "--name", "X")
    assert "KEY=VALUE" in cli.refuse(3, *made, "--allow", "lr")["message"]
    assert "type" in cli.refuse(3, "dt", "make", "--type", "gold", "--name", "X")["message"]


def test_posting_without_all_grants(cli: Cli, edge: str) -> None:
    """Acceptance: 48"""
    child = publish(cli, metadata(edge), "user-1")
    account = cli.run("key", "address", "recorder")["address"]
    extra = {"recorder": {"account": account, "endpoint": "http://127.0.0.1:1"}}
    plain = metadata(
        type="algorithm",
        child_dts=[child],
        workflows=[{"set_ops": [{"0": edge}]}],
        extra_params=extra,
    )
    algorithm = publish(cli, plain, "b")
    task = cli.run("task", "create", f"Without grants {algorithm}", key="b")["task"]
    error = cli.refuse(9, "job", "post", task, algorithm, key="b")
    assert error["code"] == "MISSING_GRANT"
    assert child in error["message"] and algorithm in error["message"]
    assert error["hint"].count("datatoken grant") == 1
    assert algorithm not in [found["algorithm"] for found in cli.run("job", "list")]
    error = cli.refuse(9, "job", "post", task, algorithm, key="user-1")
    assert error["code"] == "NOT_INSTITUTION"


def test_relay_of_what_was_not_signed(cli: Cli, tmp_path: Path, edge: str) -> None:
    plain = cli.write("relay.json", metadata(edge))
    slip = tmp_path / "mint.json"
    cli.run("dt", "publish", plain, "--sign-only", slip, key="user-1")
    before = stored(cli)
    signed = json.loads(slip.read_text())
    slip.write_text(json.dumps({**signed, "salt": 7}))
    assert "not signed" in cli.refuse(3, "relay", slip, key="a")["message"]
    slip.write_text('{"type": "mint"}')
    assert "not valid" in cli.refuse(3, "relay", slip, key="a")["message"]
    unchanged(cli, before)

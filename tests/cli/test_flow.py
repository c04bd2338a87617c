"""The commands of MVP 2, from the registration to the trace, as each party types them."""

from pathlib import Path

from tests.cli.conftest import Cli
from tests.cli.documents import operation


def test_wearables_from_registration_to_trace(cli: Cli, tmp_path: Path) -> None:
    """Acceptance: 5, 6, 8, 9, 42, 49, 50, 67, 68, 70, 71, 72, 73, 74, 75, 76, 77, 78, 82, 95"""
    # Prepare: trusted operations
    edge = operation(cli, "EdgeComp", parameters={"lr": {"type": "float", "default": 0.1}})
    average = operation(cli, "FedAverage", "server")
    assert {edge, average} <= {found["operation"] for found in cli.run("op", "list")}
    # Users describe and publish; one sends by itself, one signs for the relayer A
    leaf = ("--type", "data", "--op", edge, "--max-rounds", 5, "--allow", "lr=0.0..0.5")
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    cli.run("dt", "make", *leaf, "--name", "ECG 1", "--accept-purpose", "heart", "-o", one)
    cli.run("dt", "make", *leaf, "--name", "ECG 2", "-o", two)
    cli.run("dt", "check", one)
    data = [cli.run("dt", "publish", one, key="user-1")["dt"]]
    signed = tmp_path / "mint.json"
    data.append(cli.run("dt", "publish", two, "--sign-only", signed, key="user-2")["dt"])
    assert cli.run("relay", signed, key="a")["dt"] == data[1]
    # A composes the users' DTs, B the algorithm
    children = ("--child", data[0], "--child", data[1])
    made = tmp_path / "composite.json"
    flow = ("--each", edge, "--self-op", average, "--purpose", "heart", "--fix", f"{edge}:lr=0.2")
    recorder = ("--recorder", "recorder", "--recorder-endpoint", "http://127.0.0.1:9095")
    cli.run(
        "dt", "make", "--type", "data", "--name", "Users", *children, *flow, *recorder, "-o", made
    )
    composite = cli.run("dt", "publish", made, key="a")["dt"]
    algorithm_file = tmp_path / "algorithm.json"
    top = ("--child", composite, "--each", "self", "--purpose", "heart")
    cli.run("dt", "make", "--type", "algorithm", "--name", "Model", *top, "-o", algorithm_file)
    algorithm = cli.run("dt", "publish", algorithm_file, key="b")["dt"]
    # Each user finds the request, reviews and grants; A grants B
    (asked,) = [n for n in cli.run("inbox", "--account", "user-1") if n["dt"] == data[0]]
    assert (asked["subject"], asked["by"]["name"]) == (composite, "Institution A")
    review = cli.run("review", data[0], composite)
    assert review["purpose"] == "heart" and review["violations"] == []
    assert review["codes"][0]["fixed"] == {"lr": 0.2}
    assert "NUMBER" in review["codes"][0]["files"]["op/__init__.py"]
    grant = cli.run("grant", data[0], composite, "--yes", "--max-rounds", 4, key="user-1")
    assert (grant["granted"], grant["max_rounds"]) == (True, 4)
    slip = tmp_path / "grant.json"
    cli.run("grant", data[1], composite, "--yes", "--sign-only", slip, key="user-2")
    cli.run("relay", slip, key="a")
    cli.run("grant", composite, algorithm, "--yes", key="a")
    # B creates a task, vouches, asks; A verifies and announces
    task = cli.run("task", "create", "Heart model", key="b")["task"]
    assert cli.run("task", "create", "Heart model", key="b")["task"] == task
    job = cli.run("job", "post", task, algorithm, key="b")["job"]
    assert cli.run("job", "post", task, algorithm, key="b")["job"] == job
    artefact = "0x" + "ab" * 32
    ask = ("--artefact", artefact, "--set", "rounds=3", "--audience", composite)
    request = cli.run("job", "request", job, *ask, key="b")["request"]
    assert cli.run("job", "announce", job, request, key="a")["request"] == request
    assert cli.run("job", "announce", job, request, key="a")["request"] == request
    # Each user sees the notice and traces the use; so does anybody without a key
    notices = cli.run("inbox", "--account", "user-2")
    kinds = [notice["kind"] for notice in notices if notice["dt"] == data[1]]
    assert kinds == ["job-posted", "job-announced"]
    (use,) = cli.run("trace", data[0])["uses"]
    assert (use["job"], use["status"], use["guarantor"]["name"]) == (job, "open", "Institution B")
    assert use["uses"][0]["path"] == [data[0], composite, algorithm]
    assert use["uses"][0]["server_operation_name"] == "FedAverage"
    shown = cli.run("job", "show", job)
    assert (shown["task"], shown["status"]) == (task, "open")
    assert shown["announcements"][0]["request"] == request
    assert job in [found["job"] for found in cli.run("job", "list")]
    assert cli.run("verify", "dt", composite)["violations"] == []
    assert cli.run("dt", "show", composite)["ddo"]["dt"] == composite
    # People read the same
    text = cli("trace", data[0]).out
    assert "EdgeComp with FedAverage" in text and "granted: active (4 rounds)" in text
    assert "model weights" not in cli("review", data[0], composite, "--code").err
    assert cli("trace", algorithm, "--down").out.count("ECG") == 2
    # A revocation ends it, and stays in the history
    cli.run("revoke", data[0], composite, key="user-1")
    cli.run("revoke", data[0], composite, key="user-1")
    assert "granted: revoked" in cli("trace", data[0]).out
    cli.run("job", "withdraw", job, composite, key="a")
    for act, status in (("pause", "paused"), ("reopen", "open"), ("close", "closed")):
        cli.run("job", act, job, key="b")
        assert cli.run("job", act, job, key="b")["status"] == status
    cli.run("task", "close", task, key="b")
    assert cli.run("task", "show", task)["status"] == "closed"
    assert cli.refuse(4, "job", "announce", job, request, key="a")["code"] == "JOB_NOT_OPEN"


def test_keys_users_operations_and_delegations(cli: Cli, tmp_path: Path) -> None:
    """Acceptance: 37, 38, 39, 68"""
    # Keys
    password = tmp_path / "secret.txt"
    password.write_text("correct horse\n")
    with_password = ("--password-file", password)
    made = cli.run("key", "create", "clinic", "--light", *with_password)
    assert cli.run("key", "list")["clinic"] == made["address"]
    assert cli.run("key", "address", "clinic")["address"] == made["address"]
    assert cli.refuse(7, "key", "create", "clinic", *with_password)["code"] == "KEY"
    assert cli.run("key", "fund", "clinic")["funded"] is True
    assert cli.run("key", "fund", "clinic")["funded"] is False
    # Institutions and users
    cli.run("institution", "add", "clinic", "Clinic", key="administrator")
    user = "0x" + "5a" * 20
    add = ("user", "add", user, "--keystore", "clinic", *with_password)
    assert cli.run(*add)["enrolled"] == [user]
    assert cli.run(*add)["enrolled"] == []
    listed = cli.run("user", "list", "--institution", "clinic")
    assert [found["account"] for found in listed] == [user]
    assert cli.run("user", "show", user)["participant"] is True
    cli.run("institution", "remove", "clinic", key="administrator")
    assert cli.run("institution", "remove", "clinic", key="administrator")["removed"] is False
    assert cli.run("user", "show", user)["participant"] is False
    assert cli.refuse(9, "institution", "add", user, "X", key="a")["code"].startswith("OWNABLE")
    # Operations
    edge = operation(cli)
    assert cli.run("op", "show", edge)["record"]["retired"] is False
    assert cli.run("op", "retire", edge, key="administrator")["now"] is True
    assert cli.run("op", "retire", edge, key="administrator")["now"] is False
    assert edge not in [found["operation"] for found in cli.run("op", "list")]
    assert edge in [found["operation"] for found in cli.run("op", "list", "--all")]
    # Delegation
    leaf = tmp_path / "leaf.json"
    cli.run("dt", "make", "--type", "data", "--name", "D", "--op", operation(cli), "-o", leaf)
    dt = cli.run("dt", "publish", leaf, key="user-1")["dt"]
    signed = cli.run("delegate", dt, "clinic", "--until", "30d", key="user-1")
    assert (signed["dt"], signed["node"]) == (dt, made["address"])
    assert cli.refuse(9, "delegate", dt, "clinic", key="user-2")["code"] == "NOT_TOKEN_OWNER"


def test_nobody_agreed(cli: Cli, tmp_path: Path) -> None:
    """`grant` shows the review and asks; without a terminal nobody can agree."""
    edge = operation(cli)
    leaf, whole = tmp_path / "leaf.json", tmp_path / "whole.json"
    cli.run("dt", "make", "--type", "data", "--name", "D", "--op", edge, "-o", leaf)
    child = cli.run("dt", "publish", leaf, key="user-1")["dt"]
    cli.run(
        "dt", "make", "--type", "data", "--name", "W", "--child", child, "--each", edge, "-o", whole
    )
    parent = cli.run("dt", "publish", whole, key="a")["dt"]
    refused = cli("grant", child, parent, "--keystore", "user-1")
    assert refused.code == 4
    assert "asked by" in refused.err and "Institution A" in refused.err
    assert "It was not granted" in refused.err
    assert cli.run("review", child, parent)["granted"]["active"] is False

"""The launcher: what it lets through, what it refuses, with which exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from datatoken.chain.signer import Signer
from datatoken.errors import BadInputError, ExitCode, LocalEnvironmentError
from datatoken.rounds.receipts import Delegation
from datatoken.service.delegations import check_delegation, read_delegation
from fl_edge.supernode.environment import (
    app_environment,
    check_port,
    fresh_home,
    hide_process,
    lock_state,
)
from fl_edge.supernode.launch import check_arguments
from fl_edge.supernode.settings import Settings
from tests.fl_edge.harness import BIN, QUIET
from tests.support.chain import Account, Chain

PASSWORD = "correct horse"


def test_secret_in_an_environment_of_an_operation(tmp_path: Path) -> None:
    """Only names on a short list are let through. Acceptance: 102."""
    own = {
        "HOME": "/home/x",
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "2",
        "DATATOKEN_PASSWORD_FILE": "/x",
        "MY_API_KEY": "s",
        "AWS_SECRET_ACCESS_KEY": "s",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "0",
        "PYTHONPATH": "/tmp/shadow",
        "LD_PRELOAD": "/tmp/x.so",
        "DATA_DIR": "/data",
    }
    found = app_environment(own, tmp_path, ["DATA_DIR"])
    assert set(found) == {
        "HOME",
        "LC_ALL",
        "OMP_NUM_THREADS",
        "DATA_DIR",
        "PATH",
        "FLWR_HOME",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION",
        "FLWR_TELEMETRY_ENABLED",
        "FLWR_DISABLE_UPDATE_CHECK",
    }
    assert found["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"
    assert found["PATH"].split(os.pathsep)[0] == str(BIN)


def test_secret_in_a_log_of_settings(tmp_path: Path) -> None:
    settings = Settings("a:1", "0x", tmp_path, "", tmp_path, tmp_path, tmp_path, PASSWORD)
    assert PASSWORD not in repr(settings)


def test_the_home_of_apps_is_emptied(tmp_path: Path) -> None:
    (tmp_path / "flwr" / "apps" / "planted").mkdir(parents=True)
    home = fresh_home(tmp_path / "flwr")
    assert list(home.iterdir()) == []
    assert home.stat().st_mode & 0o777 == 0o700


def test_two_supernodes_can_not_share_a_state_folder(tmp_path: Path) -> None:
    lock = lock_state(tmp_path / "state")
    with pytest.raises(LocalEnvironmentError, match="Another SuperNode"):
        lock_state(tmp_path / "state")
    os.close(lock)
    os.close(lock_state(tmp_path / "state"))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_the_process_can_not_be_looked_into() -> None:
    """Other processes of the account see neither memory nor first environment."""
    script = (
        "import ctypes; from fl_edge.supernode.environment import hide_process; hide_process();"
        "raise SystemExit(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    assert hide_process.__doc__


def test_a_port_in_use() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LocalEnvironmentError, match="can't be used"):
            check_port("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(
    "extra", [("--allow-runtime-dependency-installation",), ("--allow-r",), ("--no-such-option",)]
)
def test_arguments_that_would_undo_the_gate(tmp_path: Path, extra: tuple[str, ...]) -> None:
    """A FAB's hash pins its code only as long as nothing is installed for it. Acceptance: 103."""
    paths = (tmp_path, "", tmp_path, tmp_path, tmp_path)
    settings = Settings("a:1", "0x", *paths, "", insecure=True, extra=extra)
    with pytest.raises(BadInputError):
        check_arguments(settings.flwr_arguments(9))
    check_arguments(Settings("a:1", "0x", *paths, "", insecure=True).flwr_arguments(9))


@pytest.fixture(scope="module")
def owner(chain: Chain) -> tuple[Account, str]:
    """A user and its DT."""
    return chain.users[1], chain.mint(chain.users[1])


def delegate(chain: Chain, account: Account, dt: str, node: str, expiry: int = 2**40) -> Delegation:
    tokens = chain.network.tokens
    typed = Delegation.typed_data(chain.network.chain_id, tokens, dt, node, expiry)
    return Delegation(
        chain_id=chain.network.chain_id,
        registry=tokens,
        dt=dt,
        node=node,
        expiry=expiry,
        signature=account.signer.sign_full(typed),
    )


def test_a_delegation_that_is_not_the_owners(chain: Chain, owner: tuple[Account, str]) -> None:
    """Every way in which the word for a node key can be wrong. Acceptance: 102."""
    account, dt = owner
    node = Signer.random().address
    given = {
        "chain_id": chain.network.chain_id,
        "registry": chain.network.tokens,
        "dt": dt,
        "owner": account.address,
        "node": node,
        "now": 1_900_000_000,
    }
    check_delegation(delegate(chain, account, dt, node), **given)  # type: ignore[arg-type]
    wrong = [
        (delegate(chain, chain.users[2], dt, node), "not signed"),
        (delegate(chain, account, chain.mint(account), node), "it is for DT"),
        (delegate(chain, account, dt, account.address), "node key"),
        (delegate(chain, account, dt, node, 1_800_000_000), "expired"),
    ]
    for delegation, why in wrong:
        with pytest.raises(BadInputError, match=why):
            check_delegation(delegation, **given)  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="another deployment"):
        check_delegation(delegate(chain, account, dt, node), **{**given, "chain_id": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 10_000, b'{"dt": 1}', b"x" * 20_000])
def test_a_malformed_delegation(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "delegation.json").write_bytes(content)
    with pytest.raises(BadInputError):
        read_delegation(tmp_path / "delegation.json")


@pytest.fixture
def files(chain: Chain, owner: tuple[Account, str], tmp_path: Path) -> dict[str, str]:
    """Arguments of a command that would start."""
    account, dt = owner
    key = tmp_path / "node.json"
    signer = Signer.create(key, PASSWORD, work=2)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    delegation = delegate(chain, account, dt, signer.address)
    (tmp_path / "delegation.json").write_text(json.dumps(delegation.model_dump(), indent=2))
    (tmp_path / "store").mkdir()
    return {
        "--superlink": "127.0.0.1:9",
        "--dt": dt,
        "--deployment": str(chain.deployment_path),
        "--store": str(tmp_path / "store"),
        "--state": str(tmp_path / "state"),
        "--node-key": str(key),
        "--password-file": str(tmp_path / "password"),
        "--delegation": str(tmp_path / "delegation.json"),
    }


def ended(files: dict[str, str], *extra: str) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    arguments = [item for pair in files.items() for item in pair]
    return subprocess.run(
        [str(BIN / "fl-edge"), "supernode", "--insecure", *arguments, *extra],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **QUIET},
    )


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--dt", "0x12", ExitCode.BAD_INPUT),
        ("--dt", "0x" + "ab" * 32, ExitCode.BAD_INPUT),
        ("--deployment", "/nowhere/deployment.json", ExitCode.BAD_INPUT),
        ("--delegation", "/nowhere/delegation.json", ExitCode.BAD_INPUT),
        ("--node-key", "/nowhere/key.json", ExitCode.KEY),
        ("--password-file", "/nowhere/password", ExitCode.KEY),
        ("--state", "/proc/nowhere", ExitCode.ENVIRONMENT),
        ("--port", "1", ExitCode.ENVIRONMENT),
    ],
)
def test_bad_input_is_one_sentence_and_an_exit_code(
    files: dict[str, str], option: str, value: str, code: ExitCode
) -> None:
    if option == "--port":
        import socket

        taken = socket.socket()
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        value = str(taken.getsockname()[1])
    found = ended({**files, option: value})
    assert (found.returncode, found.stdout) == (code, ""), found.stderr
    assert len(found.stderr.strip().splitlines()) <= 2, "a sentence and a hint"
    assert "Traceback" not in found.stderr


def test_a_wrong_password(files: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wrong")
    found = ended(files)
    assert found.returncode == ExitCode.KEY
    assert "wrong" in found.stderr
    assert PASSWORD not in found.stderr


def test_a_chain_that_is_another_or_away(
    files: dict[str, str], chain: Chain, tmp_path: Path
) -> None:
    """Acceptance: 111."""
    plain = json.loads(chain.deployment_path.read_text())
    path = tmp_path / "deployment.json"
    away = plain | {"rpc_urls": ["http://127.0.0.1:9"]}
    for changed in (away, plain | {"market": "0x" + "11" * 20}):
        path.write_text(json.dumps(changed))
        found = ended({**files, "--deployment": str(path)})
        assert found.returncode == ExitCode.CHAIN_UNREACHABLE, found.stderr


def test_help_teaches() -> None:
    found = subprocess.run(
        [str(BIN / "fl-edge"), "supernode", "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **QUIET},
    )
    assert found.returncode == 0
    for word in ("Example", "Exit codes", "refused by data owner", "--node-config"):
        assert word in found.stdout


def test_the_process_stays_light() -> None:
    """Neither web3 nor an app's framework is imported."""
    script = (
        "import sys, fl_edge.cli.app, fl_edge.supernode.gate, fl_edge.supernode.owner;"
        "heavy = {'web3', 'tensorflow', 'torch', 'keras', 'flask', 'pandas'} & set(sys.modules);"
        "raise SystemExit(', '.join(heavy) or 0)"
    )
    ended_ = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ended_.returncode == 0, ended_.stderr

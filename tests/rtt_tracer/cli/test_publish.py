"""`rtt-tracer publish`: shipped operations, folders, and a user's own files, unchanged."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datatoken.cli.errors import run
from datatoken.ddo.operation import parse_operation
from datatoken.store import open_store
from datatoken.types import OperationKind, sha256_hex
from rtt_tracer.bundle import bundle_folder, read_bundle
from rtt_tracer.cli.app import app
from rtt_tracer.shipped import shipped_operations
from tests.rtt_tracer.operations.parts import MINE, SHIPPED, SPU
from tests.support.chain import Chain

pytestmark = pytest.mark.spu

FUNCTION = '''"""A fintech's own score; nothing here knows of data tokens."""
import jax.numpy as jnp

RATE = 0.3


def gap(x0, x1):
    """The difference of two banks' means, and nothing else."""
    return jnp.mean(x0) - jnp.mean(x1)


def starred(*xs):
    return xs


def unlike(left, right):
    return left - right
'''


def command(*arguments: object) -> int:
    return run(app, "rtt-tracer", ["publish", *map(str, arguments), *python(arguments)])


def python(arguments: tuple[object, ...]) -> list[str]:
    return [] if "--python" in arguments else ["--python", str(SPU)]


@pytest.fixture
def function(tmp_path: Path) -> Path:
    path = tmp_path / "scores.py"
    path.write_text(FUNCTION)
    return path


def administrator(chain: Chain, tmp_path: Path) -> list[object]:
    chain.admin.signer.save(tmp_path / "admin.json", "pw", work=2)
    (tmp_path / "pw").write_text("pw\n")
    return [
        *("--folder", tmp_path / "cli", "--deployment", chain.deployment_path),
        *("--store", tmp_path / "store", "--keystore", tmp_path / "admin.json"),
        *("--password-file", tmp_path / "pw", "--format", "json"),
    ]


@pytest.mark.parametrize("name", MINE)
def test_administrator_registers_a_shipped_operation_and_repeating_is_safe(
    name: str, chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Acceptance: 17, 38, 52, 98."""
    options = administrator(chain, tmp_path)

    assert command(name, *options) == 0
    first = json.loads(capsys.readouterr().out)
    assert command(name, *options) == 0
    second = json.loads(capsys.readouterr().out)

    assert first == second
    bundle = bundle_folder(SHIPPED / name)
    record = chain.contracts.operations.operation(first["operation"])
    assert record.bundle == sha256_hex(bundle)
    assert record.kind == OperationKind.MPC
    store = open_store(tmp_path / "store")
    assert store.get(record.bundle, 10**6) == bundle
    document = parse_operation(store.get(record.metadata, 10**6))
    assert document.reveals and document.messages
    assert document.lock["numpy"]
    assert all(spec.description for spec in document.parameters.values())


def test_a_users_function_is_published_as_it_stands(
    function: Path, chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Acceptance: 98."""
    before = function.read_bytes()

    assert command(f"{function}:gap", *administrator(chain, tmp_path)) == 0

    result = json.loads(capsys.readouterr().out)
    content = open_store(tmp_path / "store").get(result["bundle"], 10**6)
    bundle = read_bundle(content)
    assert dict(bundle.files) == {"scores.py": before}
    assert bundle.program.entry_point == "scores:gap"
    assert function.read_bytes() == before
    document = parse_operation(open_store(tmp_path / "store").get(result["metadata"], 10**6))
    assert "difference of two banks' means" in document.description
    assert set(document.lock) == {"spu", "jax", "jaxlib", "numpy"}


def test_dry_run_shows_and_writes_nothing(
    function: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))

    code = command(f"{function}:gap", "--dry-run", "--format", "json", "--folder", tmp_path / "no")

    shown = json.loads(capsys.readouterr().out)
    assert code == 0 and shown["dry_run"] is True
    assert shown["document"]["kind"] == "mpc"
    assert sorted(tmp_path.rglob("*")) == before


def test_two_files_for_the_administrator(tmp_path: Path, chain: Chain) -> None:
    """Somebody else publishes; what the administrator then registers is the same operation."""
    from datatoken.cli.app import app as datatoken

    out = tmp_path / "out"
    assert command("secret_sharing", "--out", out) == 0

    files = [str(out / "secret-sharing.zip"), str(out / "secret-sharing.json")]
    options = [str(part) for part in administrator(chain, tmp_path)]
    assert run(datatoken, "datatoken", ["op", "register", *files, *options]) == 0
    assert (out / "secret-sharing.zip").read_bytes() == bundle_folder(SHIPPED / "secret_sharing")


def test_somebody_else_registers_nothing(chain: Chain, tmp_path: Path) -> None:
    """Acceptance: 38."""
    options = administrator(chain, tmp_path)
    chain.b.signer.save(tmp_path / "b.json", "pw", work=2)
    options[options.index(tmp_path / "admin.json")] = tmp_path / "b.json"

    assert command("intersection", *options) != 0

    assert not list((tmp_path / "store").rglob("*.data"))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("{folder}/scores.py:none", "no function none"),
        ("{folder}/scores.py:starred", "not named like inputs"),
        ("{folder}/scores.py:unlike", "not named like inputs"),
        ("{folder}/absent.py:f", "There is no file"),
        ("{folder}/absent.py", "There is no file"),
        ("{folder}", "operation.json"),
        ("no_such_operation", "Shipped: "),
    ],
)
def test_what_is_no_operation(
    source: str,
    sentence: str,
    function: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(source.format(folder=tmp_path), "--out", tmp_path / "out") == 3

    error = " ".join(capsys.readouterr().err.split())
    assert sentence in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def edited(tmp_path: Path, **fields: Any) -> Path:
    folder = shutil.copytree(SHIPPED / "intersection", tmp_path / "intersection")
    plain = json.loads((folder / "operation.json").read_text())
    (folder / "operation.json").write_text(json.dumps(plain | fields))
    return folder


@pytest.mark.parametrize(
    "fields",
    [
        {"reveal": []},
        {"entry_points": {"spu.intersect": "other.identify:identifiers"}},
        {"entry_points": {"spu.intersect": "intersection.absent:identifiers"}},
        {"entry_points": {"flower": "intersection.identify:identifiers"}},
        {"parameters": {"x": {"type": "int"}}},
        {"dependencies": ["no-such-distribution"]},
        {"messages": ["leak"]},
    ],
)
def test_an_operation_that_contradicts_itself(
    fields: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(edited(tmp_path, **fields), "--out", tmp_path / "out") == 3

    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_link_in_a_folder_is_refused(tmp_path: Path) -> None:
    folder = edited(tmp_path)
    (folder / "key.json").symlink_to("/etc/passwd")

    assert command(folder, "--out", tmp_path / "out") == 3


def test_without_the_engine_nothing_is_locked_and_nothing_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = command("secret_sharing", "--python", tmp_path / "none", "--out", tmp_path / "out")

    assert code == 8
    assert "make spu" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_shipped_operations_are_all_there() -> None:
    """Acceptance: 98."""
    assert set(shipped_operations()) >= set(MINE)

"""`fl-edge publish`: an unchanged app becomes an operation, by its own word and flwr's builder."""

import json
from pathlib import Path

import pytest

from datatoken.cli.errors import run
from datatoken.ddo.operation import parse_operation
from datatoken.store import open_store
from datatoken.types import OperationKind, sha256_hex
from fl_edge.cli.app import app
from fl_edge.cli.publish import HELP, build_app
from fl_edge.fab import bundle_folder, read_source
from fl_edge.fab.shipped import shipped_operations
from tests.fl_edge.harness import ROOT, write_app
from tests.support.chain import Chain

SOURCE = '"""A part."""\napp = None\n'


def command(*arguments: str) -> int:
    return run(app, "fl-edge", ["publish", *arguments])


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    config = {"rounds": 3, "lr": 0.5, "name": "x", "flag": True}
    return write_app(tmp_path / "app", SOURCE, SOURCE, config)


def test_document_of_an_unchanged_app_is_derived(foreign: Path, tmp_path: Path, capsys) -> None:
    """Acceptance: 17."""
    out = tmp_path / "out"

    assert command(str(foreign), "--out", str(out), "--format", "json") == 0

    result = json.loads(capsys.readouterr().out)
    document = json.loads((out / "probe.json").read_text())
    assert result["digest"] == sha256_hex((out / "probe.fab").read_bytes())
    assert document["kind"] == "app"
    assert document["entry_points"] == {
        "clientapp": "probe.client:app",
        "serverapp": "probe.server:app",
    }
    assert document["parameters"] == {
        "rounds": {"type": "int", "default": 3},
        "lr": {"type": "float", "default": 0.5},
        "name": {"type": "str", "default": "x"},
        "flag": {"type": "bool", "default": True},
    }
    assert list(document["records"]) == ["server-round"]
    assert document["messages"] == ["train", "evaluate"]
    assert (out / "probe.fab").read_bytes() == build_app(foreign)


def test_dependencies_are_locked_to_what_is_installed(foreign: Path, tmp_path: Path) -> None:
    """Acceptance: 103."""
    import numpy

    text = (foreign / "pyproject.toml").read_text()
    (foreign / "pyproject.toml").write_text(
        text.replace("dependencies = []", 'dependencies = ["numpy>=1"]')
    )

    assert command(str(foreign), "--out", str(tmp_path / "out")) == 0

    document = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert document["lock"] == {"numpy": numpy.__version__}


@pytest.mark.parametrize("need", ["no-such-distribution-here", "numpy<1", "not a requirement!"])
def test_dependency_that_cannot_be_locked(foreign: Path, tmp_path: Path, need: str, capsys) -> None:
    text = (foreign / "pyproject.toml").read_text()
    (foreign / "pyproject.toml").write_text(
        text.replace("dependencies = []", f'dependencies = ["{need}"]')
    )

    assert command(str(foreign), "--out", str(tmp_path / "out")) == 3
    assert not (tmp_path / "out").exists()


def test_kinds_of_messages_can_be_named(foreign: Path, tmp_path: Path) -> None:
    assert command(str(foreign), "--message", "query", "--out", str(tmp_path / "out")) == 0

    document = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert document["messages"] == ["query"]


def test_own_fields_replace_derived_ones(foreign: Path, tmp_path: Path) -> None:
    (tmp_path / "more.json").write_text('{"replies": {"max_scalars": 2}}')

    arguments = ["--document", str(tmp_path / "more.json"), "--out", str(tmp_path / "out")]

    assert command(str(foreign), *arguments) == 0
    document = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert document["replies"] == {"max_scalars": 2}


def test_administrator_registers_at_once_and_repeating_is_safe(
    chain: Chain, tmp_path: Path, capsys
) -> None:
    """Acceptance: 17, 38."""
    folder = ROOT / "clients" / "edgecomp_numpy"
    chain.admin.signer.save(tmp_path / "admin.json", "pw", work=2)
    (tmp_path / "pw").write_text("pw\n")
    arguments = [str(folder), "--folder", str(tmp_path / "cli"), "--format", "json"]
    arguments += ["--deployment", str(chain.deployment_path), "--store", str(tmp_path / "store")]
    arguments += ["--keystore", str(tmp_path / "admin.json")]
    arguments += ["--password-file", str(tmp_path / "pw")]

    assert command(*arguments) == 0
    first = json.loads(capsys.readouterr().out)
    assert command(*arguments) == 0
    second = json.loads(capsys.readouterr().out)

    assert first == second
    record = chain.contracts.operations.operation(first["operation"])
    assert record.bundle == sha256_hex(bundle_folder(folder))
    assert record.kind == OperationKind.CLIENT
    store = open_store(tmp_path / "store")
    assert store.get(record.bundle, 10**6) == bundle_folder(folder)
    document = parse_operation(store.get(record.metadata, 10**6))
    assert document.entry_points == {"clientapp": "edgecomp_numpy.client_app:app"}


def test_each_shipped_operation_is_registered_by_one_command(
    chain: Chain, tmp_path: Path, capsys
) -> None:
    """Acceptance: 17, 98."""
    chain.admin.signer.save(tmp_path / "admin.json", "pw", work=2)
    (tmp_path / "pw").write_text("pw\n")
    common = ["--folder", str(tmp_path / "cli"), "--format", "json"]
    common += ["--deployment", str(chain.deployment_path), "--store", str(tmp_path / "store")]
    common += ["--keystore", str(tmp_path / "admin.json")]
    common += ["--password-file", str(tmp_path / "pw")]
    store = open_store(tmp_path / "store")

    for name, folder in shipped_operations().items():
        assert command(name, *common) == 0

        operation = json.loads(capsys.readouterr().out)["operation"]
        record = chain.contracts.operations.operation(operation)
        document = parse_operation(store.get(record.metadata, 10**6))
        assert record.bundle == sha256_hex(bundle_folder(folder))
        assert document.parameters == read_source(folder).parameters
        assert document.reveals
        assert f"``{name}``" in HELP


def test_somebody_else_registers_nothing(chain: Chain, tmp_path: Path) -> None:
    """Acceptance: 38."""
    chain.b.signer.save(tmp_path / "b.json", "pw", work=2)
    (tmp_path / "pw").write_text("pw\n")

    code = command(
        str(ROOT / "clients" / "edgecomp_numpy"),
        *("--folder", str(tmp_path / "cli"), "--keystore", str(tmp_path / "b.json")),
        *("--password-file", str(tmp_path / "pw"), "--store", str(tmp_path / "store")),
        *("--deployment", str(chain.deployment_path)),
    )

    assert code != 0
    assert not list((tmp_path / "store").rglob("*.data"))


@pytest.mark.parametrize("content", [None, "not toml [", '[project]\nname = "x"\n'])
def test_folder_that_is_no_app(tmp_path: Path, content: str | None, capsys) -> None:
    folder = tmp_path / "thing"
    folder.mkdir()
    if content is not None:
        (folder / "pyproject.toml").write_text(content)

    assert command(str(folder), "--out", str(tmp_path / "out")) == 3

    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    assert command(str(tmp_path / "none"), "--out", str(tmp_path / "out")) == 3

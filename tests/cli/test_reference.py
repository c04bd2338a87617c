"""The reference pages say what the code does, and no hint names a command that is not there."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import click
import pytest
import typer
from typer.main import get_command

from datatoken.authorization.reasons import HINTS, Reason
from datatoken.chain.error_texts import TEXTS
from datatoken.chain.errors import contract_errors
from datatoken.errors import ExitCode

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    *("commands.md", "fl-edge.md", "rtt-tracer.md", "operations.md"),
    "fl-operations.md",
    *("exit-codes.md", "reasons.md"),
)
MENTION = re.compile(
    r"(?:`|: |run )(datatoken|fl-edge|rtt-tracer) ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?"
)


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    path = ROOT / "docs" / "reference" / "generate.py"
    spec = importlib.util.spec_from_file_location("generate", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES)
def test_page_is_up_to_date(generate: ModuleType, page: str) -> None:
    written = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    assert written == generate.pages()[page], "run: python docs/reference/generate.py"


def test_every_code_is_documented(generate: ModuleType) -> None:
    assert set(HINTS) == set(Reason)
    assert set(generate.MEANINGS) == set(ExitCode)
    assert set(contract_errors()) <= set(TEXTS)
    exits = generate.exit_codes()
    for code in ("AGREEMENT", "COMPOSITION", "DECLINED", "WRONG_CHAIN", "TRANSACTION_PENDING"):
        assert f"`{code}`" in exits


def test_hints_name_commands_that_exist() -> None:
    from datatoken.cli.app import app as datatoken
    from fl_edge.cli.app import app as fl_edge
    from rtt_tracer.cli.app import app as rtt_tracer

    apps: dict[str, typer.Typer] = {
        "datatoken": datatoken,
        "fl-edge": fl_edge,
        "rtt-tracer": rtt_tracer,
    }
    roots = {name: get_command(app) for name, app in apps.items()}
    sources = [
        *(ROOT / "datatoken").rglob("*.py"),
        *(ROOT / "fl_edge").rglob("*.py"),
        *(ROOT / "rtt_tracer").rglob("*.py"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "README.md",
    ]
    wrong = []
    for path in sources:
        for program, command, inner in MENTION.findall(path.read_text(encoding="utf-8")):
            root = roots[program]
            assert isinstance(root, click.Group)
            found = root.commands.get(command)
            if found is None or (
                isinstance(found, click.Group) and inner and inner not in found.commands
            ):
                wrong.append(f"{path.relative_to(ROOT)}: {program} {command} {inner}".strip())
    assert wrong == []


def test_acceptance_page_holds_every_line() -> None:
    text = (ROOT / "docs" / "acceptance.md").read_text(encoding="utf-8")
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]
    assert numbers == list(range(1, 113))

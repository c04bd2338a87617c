"""What is registered is what was reviewed: shipped operations stand alone and say what they do."""

import ast
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datatoken.ddo.operation import OperationDocument
from datatoken.roles import complete_document
from rtt_tracer.agreement.parameters import effective_parameters
from rtt_tracer.bundle import bundle_folder, read_bundle, unpack_bundle
from rtt_tracer.document import LOCKED, read_source, source_fields
from rtt_tracer.engines.base import Role
from tests.rtt_tracer.operations.parts import MINE, SHIPPED

ALLOWED = {"numpy", "jax"} | set(sys.stdlib_module_names)
RISKY = {"socket", "subprocess", "ctypes", "urllib", "http", "pickle", "shutil", "tempfile", "os"}
PUBLISHER = "0x" + "ab" * 20
PINNED = {"spu": "0.9.5", "jax": "0.4.34", "jaxlib": "0.4.34", "numpy": "1.26.4"}


def document(name: str) -> OperationDocument:
    bundle = bundle_folder(SHIPPED / name)
    return complete_document(bundle, PUBLISHER, source_fields(read_source(SHIPPED / name), PINNED))


def imported(module: Path) -> Iterator[str]:
    """Yield the top-level packages that a module imports; its own package not among them."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1, f"{module} reaches outside its own package"


@pytest.mark.parametrize("name", MINE)
def test_a_bundle_stands_alone(name: str) -> None:
    """Acceptance: 103."""
    modules = (SHIPPED / name).rglob("*.py")
    found = {package for module in modules for package in imported(module)}

    assert found <= ALLOWED and not found & RISKY


@pytest.mark.parametrize("name", MINE)
def test_bundle_and_document_are_the_same_each_time(name: str, tmp_path: Path) -> None:
    """Acceptance: 52, 98."""
    content = bundle_folder(SHIPPED / name)

    assert bundle_folder(SHIPPED / name) == content
    program = unpack_bundle(content, tmp_path / "bundle")
    assert program == read_bundle(content).program
    made = document(name)
    assert made.kind == "mpc" and made.reveals and made.messages and made.description
    assert set(made.lock) >= set(LOCKED[program.role.engine])
    for key, spec in made.parameters.items():
        assert spec.default is not None and spec.description, key
        assert (
            spec.enum
            or spec.maximum is not None
            or spec.max_length is not None
            or (spec.type == "bool")
        ), f"{key} has no bound"


@pytest.mark.parametrize("name", MINE)
def test_only_private_roles_read_rows(name: str) -> None:
    """Acceptance: 66."""
    program = read_bundle(bundle_folder(SHIPPED / name)).program

    assert program.rows == (program.role is not Role.SPU_COMPUTE)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(MINE, 2)))
def test_operations_of_one_run_agree_on_their_parameters(one: str, other: str) -> None:
    """A run has one flat configuration: the same name must not mean two things."""
    first, second = document(one), document(other)

    shared = first.parameters.keys() & second.parameters.keys()
    assert all(first.parameters[k].default == second.parameters[k].default for k in shared)
    assert effective_parameters([first, second], {}, {}).keys() == (
        first.parameters.keys() | second.parameters.keys()
    )


def test_the_local_model_encodes_as_the_joint_one_does() -> None:
    """Bundles stand alone, so the encoding is in two of them: byte for byte the same."""
    for module in ("columns.py", "encoding.py"):
        own = (SHIPPED / "local_logistic_regression" / module).read_bytes()
        assert own == (SHIPPED / "secret_sharing" / module).read_bytes()


def test_stages_are_what_the_parameters_say() -> None:
    program = read_bundle(bundle_folder(SHIPPED / "logistic_regression")).program

    assert program.stage_count({"epochs": 6, "checkpoint-every": 2}) == 3
    assert {output.name for output in program.outputs} == {"weights", "histogram"}

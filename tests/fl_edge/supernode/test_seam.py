"""The seam: found in flwr 1.40 and 1.41, and never started without."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flwr.supernode.start_client_internal as real
import pytest

from datatoken.errors import ExitCode, LocalEnvironmentError
from fl_edge.supernode.seam import Link, check_command, check_seam, install, link_of

CONNECTION = (1, *(lambda *_: None for _ in range(7)))
ROOT = Path(__file__).parents[3]


def module(**changed: Any) -> Any:
    """Return a copy of flwr's module with some of its names replaced; None removes one."""
    names = {**vars(real), **changed}
    return SimpleNamespace(**{k: v for k, v in names.items() if v is not None})


def test_this_flwr_has_the_seam() -> None:
    """Acceptance: 102."""
    check_seam()
    check_command()


@pytest.mark.parametrize(
    "gone",
    [
        "_init_connection",
        "start_client_internal",
        "_pull_and_store_message",
        "_push_messages",
        "RunNotRunningException",
    ],
)
def test_a_seam_that_is_gone_refuses_to_start(gone: str) -> None:
    """Running ungated is never the fallback. Acceptance: 102."""
    with pytest.raises(LocalEnvironmentError, match="Nothing was started") as caught:
        check_seam(module(**{gone: None}))
    assert caught.value.exit_code is ExitCode.ENVIRONMENT


@contextmanager
def _other_arguments(address: str, insecure: bool) -> Iterator[tuple[Any, ...]]:
    yield CONNECTION


@contextmanager
def _other_yield(
    server_address: str,
    insecure: bool,
    root_certificates: Any = None,
    authentication_keys: Any = None,
    max_retries: Any = None,
    max_wait_time: Any = None,
) -> Iterator[tuple[int, str, str]]:
    yield 1, "", ""


def _other_loop(receive: Any) -> None:
    raise NotImplementedError


@pytest.mark.parametrize(
    "changed",
    [
        {"_init_connection": _other_arguments},
        {"_init_connection": _other_yield},
        {"_pull_and_store_message": _other_loop},
        {"_push_messages": _other_loop},
        {"start_client_internal": _other_loop},
    ],
)
def test_a_seam_of_another_shape_refuses_to_start(changed: dict[str, Any]) -> None:
    """Acceptance: 102."""
    with pytest.raises(LocalEnvironmentError):
        check_seam(module(**changed))


def test_a_command_with_another_loop_refuses_to_start() -> None:
    with pytest.raises(LocalEnvironmentError, match="another main loop"):
        check_command(SimpleNamespace(start_client_internal=_other_loop))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "connection", [CONNECTION[:7], (*CONNECTION, None), list(CONNECTION), ("1", *CONNECTION[1:])]
)
def test_a_connection_of_another_shape_is_not_used(connection: Any) -> None:
    with pytest.raises(LocalEnvironmentError):
        link_of(connection)


def test_flwr_gets_the_gates_link_and_no_other() -> None:
    """Acceptance: 102."""

    @contextmanager
    def connect(
        server_address: str,
        insecure: bool,
        root_certificates: Any = None,
        authentication_keys: Any = None,
        max_retries: Any = None,
        max_wait_time: Any = None,
    ) -> Iterator[tuple[int, int, int, int, int, int, int, int]]:
        yield CONNECTION  # type: ignore[misc]

    gated = Link(*(1, *("gate",) * 7))  # type: ignore[arg-type]
    stand_in = module(_init_connection=connect)
    install(lambda link: gated, stand_in)
    with stand_in._init_connection("address", True) as found:
        assert found == tuple(gated)


CONTRACT = """
    import sys
    from flwr.supercore.version import package_version
    assert package_version == sys.argv[1], package_version
    from fl_edge.supernode.seam import check_command, check_seam, install
    check_seam(); check_command()
    import flwr.supernode.start_client_internal as loop
    before = loop._init_connection
    install(lambda link: link)
    assert loop._init_connection is not before
    # Everything else that the gate takes from flwr, by the names it takes it.
    import fl_edge.supernode.gate, fl_edge.supernode.launch, fl_edge.supernode.apps
    from fl_edge.supernode.launch import check_arguments
    from fl_edge.supernode.settings import Settings
    from pathlib import Path
    here = Path(".")
    settings = Settings("a:1", "0x", here, "", here, here, here, "", insecure=True)
    check_arguments(settings.flwr_arguments(9))
    from flwr.supercore.exit import add_exit_handler
    from flwr.supercore.exit.exit_handler import trigger_exit_handlers
"""


@pytest.mark.contract
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", ["1.40.0", "1.41.0"])
def test_contract_with_flwr(version: str, tmp_path: Path) -> None:
    """The seam is there in both versions, and the gate's own tests pass on them.

    Real installations, real imports. Acceptance: 102
    """
    uv = shutil.which("uv")
    if uv is None:
        pytest.fail("There is no uv; run the tests by `make test-slow`.")
    python = tmp_path / "venv" / "bin" / "python"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FLWR_TELEMETRY_ENABLED": "0"}
    for command in (
        [uv, "venv", "-q", "--python", sys.executable, str(tmp_path / "venv")],
        [uv, "pip", "install", "-q", "--python", str(python), f"flwr=={version}", *_needs()],
    ):
        subprocess.run(command, check=True, env=environment, cwd=tmp_path, timeout=300)

    script = [str(python), "-c", textwrap.dedent(CONTRACT), version]
    subprocess.run(script, check=True, env=environment, cwd=tmp_path, timeout=120)

    tests = [str(ROOT / "tests" / "fl_edge" / "supernode" / name) for name in OWN_TESTS]
    own = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", *tests]
    ended = subprocess.run(
        own, env=environment, cwd=ROOT, timeout=300, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout[-4000:]


OWN_TESTS = ("test_gate.py", "test_runs.py", "../messages/test_objects.py")


def _needs() -> list[str]:
    """Return this project's own dependencies, at the versions that are tested here."""
    from importlib.metadata import version

    names = ["eth-abi", "eth-account", "eth-utils", "httpx", "pydantic", "rfc8785", "structlog"]
    names += ["prometheus-client", "typer", "numpy", "pytest", "pytest-timeout", "hypothesis"]
    return [f"{name}=={version(name)}" for name in names]

"""Real Flower processes for tests: SuperLink, SuperNode, `flwr run`, ports and logs.

Every process writes to a log file of its own in the test's folder, gets its own FLWR_HOME,
and is ended by its own process group.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from datatoken.ports import free_port

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2",
    "PYTHONPATH": str(ROOT),
    "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)]),
}


@dataclass
class Process:
    """A process of its own group, with its output in a file."""

    name: str
    log: Path
    child: "subprocess.Popen[bytes]"

    @classmethod
    def start(
        cls, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> Self:
        """Start a command; `folder` gets its log."""
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"{name}.log"
        with log.open("ab") as output:
            child = subprocess.Popen(
                list(command),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **QUIET, **environment},
                cwd=folder,
                start_new_session=True,
            )
        return cls(name, log, child)

    @property
    def output(self) -> str:
        """Everything that was written so far."""
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: str, seconds: float = 60.0) -> "re.Match[str]":
        """Wait until the output matches; fail when the process ends or time is up."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.output)):
            if self.child.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.name}: no {pattern!r} in\n{self.output[-4000:]}")
            time.sleep(0.1)
        return found

    def wait(self, seconds: float = 60.0) -> int:
        """Wait for the end and return the exit code."""
        return self.child.wait(seconds)

    def stop(self) -> None:
        """End the process and all that it has started."""
        for signum, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
            try:
                os.killpg(self.child.pid, signum)
            except ProcessLookupError:
                break
            try:
                self.child.wait(patience)
            except subprocess.TimeoutExpired:
                continue


@dataclass
class Federation:
    """A SuperLink and the SuperNodes around it."""

    folder: Path
    port: int = 0
    processes: list[Process] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Address of the SuperLink."""
        return f"127.0.0.1:{self.port}"

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Process:
        """Start a process that ends with the federation."""
        process = Process.start(name, command, self.folder, environment or {})
        self.processes.append(process)
        return process

    def superlink(
        self,
        command: Sequence[str] = ("flower-superlink",),
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a SuperLink, or a command that takes the same arguments."""
        self.port = free_port()
        arguments = ["--insecure", "--host", "127.0.0.1", "--port", str(self.port)]
        process = self.start(
            "superlink",
            [*_program(command), *arguments],
            {"FLWR_HOME": str(self.folder / "superlink-home"), **(environment or {})},
        )
        process.wait_for("Uvicorn running|startup complete")
        return process

    def bare_node(self, name: str = "bare") -> Process:
        """Start flwr's own SuperNode, ungated: what an exploit is compared with."""
        command = _program(["flower-supernode", "--insecure", "--superlink", self.address])
        command += ["--port", str(free_port())]
        process = self.start(name, command, {"FLWR_HOME": str(self.folder / f"{name}-home")})
        process.wait_for("SuperNode ID")
        return process

    def run(self, app: Path, config: Mapping[str, object], seconds: float = 240.0) -> str:
        """Run an app with `flwr run --stream` and return what its user sees."""
        home = self.folder / "user-home"
        home.mkdir(exist_ok=True)
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "t"\n[superlink.t]\naddress = "{self.address}"\n'
            "insecure = true\n"
        )
        overrides = " ".join(f"{key}={_toml(value)}" for key, value in config.items())
        command = [*_program(["flwr", "run", str(app)]), "t", "--stream"]
        found = subprocess.run(
            [*command, "--run-config", overrides] if overrides else command,
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd=self.folder,
            env={**os.environ, **QUIET, "FLWR_HOME": str(home)},
            check=False,
        )
        return found.stdout + found.stderr

    def close(self) -> None:
        """End everything, the newest first."""
        for process in reversed(self.processes):
            process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def write_app(
    folder: Path,
    client: str,
    server: str,
    config: Mapping[str, object],
    *,
    name: str = "probe",
    publisher: str = "tests",
    version: str = "1.0.0",
) -> Path:
    """Write a Flower app of two modules and return its folder."""
    package = name.replace("-", "_")
    (folder / package).mkdir(parents=True)
    (folder / package / "__init__.py").write_text('"""A test app."""\n')
    (folder / package / "client.py").write_text(client)
    (folder / package / "server.py").write_text(server)
    values = "".join(f"{key} = {_toml(value)}\n" for key, value in config.items())
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "{version}"\ndescription = "test"\n'
        'license = "Apache-2.0"\ndependencies = []\n'
        f'[tool.flwr.app]\npublisher = "{publisher}"\n'
        f'[tool.flwr.app.components]\nserverapp = "{package}.server:app"\n'
        f'clientapp = "{package}.client:app"\n'
        f"[tool.flwr.app.config]\n{values}"
    )
    return folder


def _program(command: Sequence[str]) -> list[str]:
    first = BIN / command[0]
    return [str(first) if first.exists() else command[0], *command[1:]]


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, (str, Path)) else str(value)

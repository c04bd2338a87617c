"""A local stack started by ``datatoken up``, and a way to call the command in process."""

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from datatoken.cli.app import app
from datatoken.cli.errors import run


@dataclass
class Result:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["error"]
        return found


def call(
    *arguments: object, folder: Path | None = None, env: dict[str, str] | None = None
) -> Result:
    """Run ``datatoken`` in this process."""
    given = [str(argument) for argument in arguments]
    if folder is not None:
        given += ["--folder", str(folder)]
    out, err = io.StringIO(), io.StringIO()
    kept = {name: os.environ.pop(name) for name in list(os.environ) if _ours(name)}
    os.environ.update(env or {})
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(app, "datatoken", given)
    finally:
        for name in [name for name in os.environ if _ours(name)]:
            del os.environ[name]
        os.environ.update(kept)
    return Result(int(code), out.getvalue(), err.getvalue())


def _ours(name: str) -> bool:
    return name.startswith("DATATOKEN_") and name != "DATATOKEN_ANVIL"


class Cli:
    """The command over one stack folder; `run` expects success and returns the JSON result."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: object) -> Result:
        return call(*arguments, folder=self.folder)

    def run(self, *arguments: object, key: str | None = None) -> Any:
        given = [*arguments, "--format", "json"]
        if key is not None:
            given += ["--keystore", key]
        result = self(*given)
        assert result.code == 0, result.err
        return result.json

    def refuse(self, code: int, *arguments: object, key: str | None = None) -> dict[str, Any]:
        """Expect one clear sentence, a documented code, and the error object."""
        given = [*arguments, "--format", "json"]
        if key is not None:
            given += ["--keystore", key]
        result = self(*given)
        assert result.code == code, result.err or result.out
        assert "Traceback" not in result.err
        error = result.error
        assert error["exit_code"] == code
        assert error["message"][:60] in result.err
        return error

    def write(self, name: str, content: object) -> Path:
        path = self.folder / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
        return path


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A stack with institutions A and B, two users of A, and two operations."""
    cli = Cli(tmp_path_factory.mktemp("stack") / "state")
    assert call("up", "--detach", "--port", 0, folder=cli.folder).code == 0
    try:
        cli.run("institution", "add", "a", "Institution A", key="administrator")
        cli.run("institution", "add", "b", "Institution B", key="administrator")
        cli.run("user", "add", "user-1", "user-2", key="a")
        yield cli
    finally:
        call("down", folder=cli.folder)


@pytest.fixture
def cli(stack: Cli) -> Cli:
    """The command over the session's stack."""
    return stack


@pytest.fixture
def anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command in an empty working folder, with no stack."""
    monkeypatch.chdir(tmp_path)
    return call

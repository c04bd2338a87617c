"""The builder of Rosetta's environment: which interpreter, and what it says when there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

from rtt_tracer.engines.rosetta import environment


def fake_python(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho CPython {version}\n")
    path.chmod(0o755)
    return path


def test_no_interpreter_is_one_sentence_and_an_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, environment.__file__, str(tmp_path / "made")],
        env={"HOME": str(tmp_path), "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 8
    assert "No CPython 3.6" in done.stderr
    assert "pyenv install" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "made").exists()


def test_the_variable_wins_and_is_not_passed_over(tmp_path: Path) -> None:
    other = fake_python(tmp_path / "other/python", "3 11")
    fake_python(tmp_path / ".pyenv/versions/3.6.15/bin/python3.6", "3 6")

    with pytest.raises(environment.EnvironmentProblem, match=r"no CPython 3\.6"):
        environment.find_python({"ROSETTA_PYTHON": str(other), "HOME": str(tmp_path)})


def test_pyenv_comes_before_the_path(tmp_path: Path) -> None:
    found = fake_python(tmp_path / ".pyenv/versions/3.6.15/bin/python3.6", "3 6")
    path = fake_python(tmp_path / "bin/python3.6", "3 6")

    both = {"HOME": str(tmp_path), "PATH": str(path.parent)}

    assert environment.find_python(both) == found
    assert environment.find_python({**both, "HOME": str(tmp_path / "nobody")}) == path


def test_every_package_is_pinned_by_hash() -> None:
    lines = [
        line
        for line in environment.REQUIREMENTS.read_text().splitlines()
        if line and not line.startswith("#")
    ]

    names, hashes = lines[::2], lines[1::2]

    assert all("==" in name for name in names)
    assert all(one.strip().startswith("--hash=sha256:") for one in hashes)
    assert any(name.startswith("latticex-rosetta==0.3.0") for name in names)

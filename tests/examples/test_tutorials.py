"""The tutorials, run as notebooks: real chain, services, engines and data; asserted numbers."""

import re

import pytest

from examples.tutorials.notebooks import FOLDER, TUTORIALS, make_notebook, run_notebooks

pytestmark = [pytest.mark.notebook, pytest.mark.slow, pytest.mark.timeout(600)]


def run(name: str) -> None:
    """Make and run one; assert that it has run to its end."""
    path = make_notebook(name)

    done = run_notebooks([path])

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
    assert re.search(r"\b1 passed\b", done.stdout)
    text = path.read_text(encoding="utf-8")
    assert '"image/png"' in text, "it shows a picture"


@pytest.mark.spu
def test_bank() -> None:
    """Acceptance: 3, 42, 53, 59, 60, 64, 66, 105."""
    run("bank")


@pytest.mark.spu
def test_fintech() -> None:
    """Acceptance: 5, 6, 48, 57, 61, 62, 63, 86, 87."""
    run("fintech")


@pytest.mark.rosetta
def test_fintech_rosetta() -> None:
    """Acceptance: 83, 86, 87, 89, 97."""
    run("fintech_rosetta")


@pytest.mark.spu
def test_regulator() -> None:
    """Acceptance: 9, 50, 90, 106."""
    run("regulator")


def test_every_tutorial_is_run() -> None:
    sources = {path.stem for path in FOLDER.glob("*.py") if "# %% [markdown]" in path.read_text()}

    assert sources == set(TUTORIALS)

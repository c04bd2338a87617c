"""Notebooks of the tutorials: made from the percent sources, run by nbmake.

They stand beside their sources and are not committed.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import jupytext

FOLDER = Path(__file__).parent
TUTORIALS = ("bank", "fintech", "fintech_rosetta", "regulator")
CELL_SECONDS = 240
"""After which a cell counts as hanging; a whole tutorial takes a minute or so."""


def make_notebook(name: str) -> Path:
    """Write the notebook of a tutorial, without outputs; return its path."""
    notebook = jupytext.read(FOLDER / f"{name}.py")
    # Whoever runs it takes the kernel of the environment that the project is installed in.
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    path = FOLDER / f"{name}.ipynb"
    jupytext.write(notebook, path)
    return path


def run_notebooks(paths: Sequence[Path]) -> subprocess.CompletedProcess[str]:
    """Run notebooks one after the other and keep their outputs in them."""
    command = [sys.executable, "-m", "pytest", "--nbmake", "--overwrite", "-q", "-rA"]
    command += [f"--nbmake-timeout={CELL_SECONDS}", "-p", "no:cacheprovider", "-p", "no:xdist"]
    # This project's own options are for its tests.
    command += ["-o", "addopts=", "-o", "timeout=0", *map(str, paths)]
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)

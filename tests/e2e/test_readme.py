"""The README's by-hand paths, as they are written, from an installed wheel."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from datatoken.chain.anvil import find_anvil

ROOT = Path(__file__).parents[2]
EXTRAS = ("flower", "mpc", "service", "examples")
KEPT = ("HOME", "LANG", "SSL_CERT_FILE", "npm_config_registry", "DATATOKEN_ANVIL")


def block(name: str) -> str:
    """Return the commands of a block."""
    pattern = rf"<!-- {name}: begin -->\n```bash\n(.*?)\n```\n<!-- {name}: end -->"
    match = re.search(pattern, (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert match, f"the README has its block {name!r}"
    return match[1]


def run_block(name: str, bin_folder: Path, folder: Path) -> str:
    """Run a block in a folder; return what it prints, with the logs of its programs."""
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment["PATH"] = f"{bin_folder}:{os.environ['PATH']}"
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", block(name)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=840)
    finally:
        with contextlib.suppress(ProcessLookupError):  # the block's background programs
            os.killpg(process.pid, signal.SIGTERM)
        stop = [str(bin_folder / "datatoken"), "down"]
        subprocess.run(stop, cwd=folder, env=environment, capture_output=True, timeout=60)
    logs = "\n".join(f"== {p.name}\n{p.read_text()[-1500:]}" for p in folder.glob("*.log"))
    assert process.returncode == 0, f"{out[-4000:]}\n{logs}"
    return out


def find_uv() -> str:
    """Return the uv that set this environment up."""
    for candidate in (os.environ.get("UV"), ROOT / ".tools" / "bin" / "uv", shutil.which("uv")):
        if candidate and Path(candidate).is_file():
            return str(candidate)
    pytest.fail("There is no uv; run the tests by `make test`.")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, install it into an environment of its own, return its bin folder."""
    folder, uv = tmp_path_factory.mktemp("wheel"), find_uv()

    def run(*command: str) -> None:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]

    run(uv, "build", "--wheel", "--quiet", "--out-dir", str(folder))
    run(uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
    wheel = next(folder.glob("*.whl"))
    constraints = folder / "constraints.txt"
    extras = [f"--extra={name}" for name in EXTRAS]
    run(
        uv, "export", "--quiet", "--frozen", "--no-hashes", "--no-emit-project", "--no-dev",
        *extras, "--output-file", str(constraints),
    )  # fmt: skip
    python = folder / "venv" / "bin" / "python"
    run(
        uv, "pip", "install", "--quiet", "--python", str(python), "--constraints",
        str(constraints), f"{wheel}[{','.join(EXTRAS)}]",
    )  # fmt: skip
    return python.parent


def test_the_wheel_installs_no_stray_top_level_package(installed):
    site = next((installed.parent / "lib").glob("python*/site-packages"))
    record = next(site.glob("datatoken-*.dist-info/RECORD")).read_text(encoding="utf-8")

    packages = {line.partition("/")[0] for line in record.splitlines() if line[0] != "."}

    assert {name for name in packages if not name.endswith(".dist-info")} == {
        "datatoken",
        "fl_edge",
        "rtt_tracer",
    }


@pytest.mark.timeout(900)
def test_by_hand_path_runs_as_it_is_written(installed, tmp_path):
    """Acceptance: 67, 68, 70, 71, 72, 73, 74, 75, 76, 77, 79, 95."""
    out = run_block("by hand", installed, tmp_path)

    assert "completed" in out
    assert "rounds logged: 4" in out, "train and evaluate, twice"


@pytest.mark.spu
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_by_hand_path_of_mpc_runs_as_it_is_written(installed, tmp_path, monkeypatch):
    """Acceptance: 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 64, 65."""
    engine = ROOT / ".engines" / "spu"
    assert (engine / "bin" / "python").exists(), "make spu"
    (tmp_path / ".engines").mkdir()
    (tmp_path / ".engines" / "spu").symlink_to(engine)
    monkeypatch.setenv("DATATOKEN_ANVIL", str(find_anvil()))

    out = run_block("by hand, MPC", installed, tmp_path)

    assert re.search(r"protocol +CHEETAH", out)
    assert re.search(r"logged +yes", out)
    assert "rounds logged: 4" in out, "the sharing and three epochs"
    assert float(out.rsplit("AUC on held-out rows: ", 1)[1].split()[0]) > 0.7
    assert not list(tmp_path.glob("state-compute-*/runs/*/work")), "no share stays"

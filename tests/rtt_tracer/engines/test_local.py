"""The local engine, with real processes behind real walls."""

from pathlib import Path

import numpy as np
import pytest

from rtt_tracer.bundle import unpack_bundle
from rtt_tracer.engines.base import EngineJob, Role
from rtt_tracer.engines.events import EngineEvent
from rtt_tracer.engines.local import LocalEngine
from rtt_tracer.sandbox import EngineProcess, Limits
from tests.rtt_tracer.engines.driver import AGREED, PYTHON, last, operation, said

pytestmark = pytest.mark.spu


def run(folder: Path, code: str) -> EngineEvent:
    bundle = operation(folder, Role.LOCAL, code, "run", "alone")
    work = folder / "work"
    (work / "in").mkdir(parents=True)
    unpack_bundle(bundle, work / "bundle")
    np.savez(work / "in/table.npz", age=np.array([30.0, 40.0, 50.0]))
    job = EngineJob(
        work, AGREED, Role.LOCAL, "alone_local.model:run", None, (), "", {"power": 2}, rows=3
    )
    with (
        LocalEngine(PYTHON).prepare(job) as launch,
        EngineProcess.start(launch, work, Limits(), work / "engine.log") as process,
    ):
        assert not launch.bind
        assert not launch.connect
        said(process, "ready")
        process.go(0)
        return last(process)


def test_an_operation_on_the_owners_rows_alone(tmp_path: Path) -> None:
    """Acceptance: 89."""
    code = (
        "import numpy as np\n\n\ndef run(table, parameters):\n"
        "    return {'mean': np.mean(table['age'] ** parameters['power'])}\n"
    )

    end = run(tmp_path, code)

    assert end.event == "end"
    assert end.digest != AGREED
    with np.load(tmp_path / "work/out/results/values.npz") as values:
        assert values["mean"] == np.mean([900.0, 1600.0, 2500.0])


@pytest.mark.parametrize("value", ["{'mean': float('nan')}", "[1.0]", "{'name': 'Miller'}"])
def test_results_that_are_no_finite_numbers_are_refused(value: str, tmp_path: Path) -> None:
    end = run(tmp_path, f"def run(table, parameters):\n    return {value}\n")

    assert end.code == "OPERATION_UNFIT"
    assert not (tmp_path / "work/out/results/values.npz").exists()

"""Results that are opened at a party: shares from all compute parties, put together."""

from collections.abc import Mapping
from pathlib import Path

from datatoken.types import Hex32
from rtt_tracer.engines.spu import SpuEngine, check_results
from rtt_tracer.party.arrivals import Arrivals
from rtt_tracer.party.request import Task
from rtt_tracer.settings import EngineSettings

OPENED = "results.npz"


def open_shares(
    engines: EngineSettings,
    task: Task,
    target: Path,
    arrivals: Arrivals,
    commitments: Mapping[Hex32, Hex32],
) -> None:
    """Hold every party's shares against its commitment, then put them together.

    Raises
    ------
    DataTokenError
        When a share is not the committed one, or the values are not finite.
    """
    folders = []
    for one in task.plan.linked:
        folder = target / "shares" / str(one.rank)
        folder.mkdir(parents=True, mode=0o700)
        for name, received in arrivals.files[one.dt].items():
            received.path.replace(folder / name)
        check_results(folder, commitments[one.dt])
        folders.append(folder)
    SpuEngine(Path(engines.spu)).reconstruct(folders, target / OPENED)

"""Results that are opened at a party: shares from all compute parties, put together."""

from collections.abc import Mapping
from pathlib import Path

from datatoken.types import Hex32
from rtt_tracer.engines.base import Role
from rtt_tracer.engines.rosetta import RosettaEngine
from rtt_tracer.engines.spu import SpuEngine, check_results
from rtt_tracer.party.arrivals import Arrivals
from rtt_tracer.party.exchange import keep_results
from rtt_tracer.party.request import Task
from rtt_tracer.settings import EngineSettings

OPENED = "results.npz"


def open_shares(
    engines: EngineSettings,
    task: Task,
    target: Path,
    arrivals: Arrivals,
    commitments: Mapping[Hex32, Hex32],
    own: Path,
) -> None:
    """Hold every party's shares against its commitment, then put them together.

    Parameters
    ----------
    own : Path
        What the own engine has left, for a receiver that computes itself (Rosetta).

    Raises
    ------
    DataTokenError
        When a share is not the committed one, or the values are not finite.
    """
    folders = []
    for one in task.plan.linked:
        folder = target / "shares" / str(one.rank)
        folder.mkdir(parents=True, mode=0o700)
        if one.dt == task.me.dt:
            keep_results(own, folder)
        else:
            for name, received in arrivals.files[one.dt].items():
                received.path.replace(folder / name)
        check_results(folder, commitments[one.dt])
        folders.append(folder)
    if task.me.role is Role.ROSETTA:
        RosettaEngine(Path(engines.rosetta)).reconstruct(folders, target / OPENED)
    else:
        SpuEngine(Path(engines.spu)).reconstruct(folders, target / OPENED)

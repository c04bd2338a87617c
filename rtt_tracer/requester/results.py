"""Results at the requester: held against what all parties signed, then opened.

Every party's shares are the ones that it committed to in the last checkpoint; all parties
name the same commitments; and their common digest is the one in the job's log of rounds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.view import LogState
from datatoken.ddo.canonical import parse_json, validate
from datatoken.errors import BadInputError
from datatoken.types import Hex32, MessageKind, Model
from rtt_tracer.agreement.checkpoints import common_digest
from rtt_tracer.agreement.plan import Participant, Plan
from rtt_tracer.engines.base import Role
from rtt_tracer.engines.rosetta.results import reconstruct as open_rosetta
from rtt_tracer.engines.spu import SpuEngine, check_results
from rtt_tracer.party.exchange import RUN

MAX_RUN_BYTES = 256 * 1024
SMALL = 10_000
"""Values of one array that are shown as numbers."""


class RunResults(Model):
    """``run.json`` among a party's results."""

    job: Hex32
    request: Hex32
    run: str
    kind: MessageKind
    protocol: str
    agreed: Hex32
    dt: Hex32
    role: Role
    rank: int | None = None
    ranks: int
    checkpoint: Annotated[int, Field(ge=0)]
    commitments: dict[Hex32, Hex32]
    input: Hex32


def opened_parties(plan: Plan) -> list[Participant]:
    """Return the parties whose results are the requester's."""
    return [one for one in plan.participants if one.role in (Role.SPU_COMPUTE, Role.ROSETTA)] or [
        one for one in plan.participants if one.role is Role.LOCAL
    ]


def check_run(plan: Plan, request: Hex32, folders: Mapping[Hex32, Path]) -> RunResults:
    """Read every party's run.json; they must agree with the request and with each other.

    Raises
    ------
    BadInputError
        When a file is missing or none.
    Refused
        CHECKPOINT_MISMATCH with the party that says something else.
    """
    first: RunResults | None = None
    for dt, folder in folders.items():
        found = _read(folder / RUN)
        common = common_digest(found.agreed, found.checkpoint, found.commitments)
        if (found.job, found.request, found.dt) != (plan.job, request, dt):
            raise _other(dt, "is of another run")
        if set(found.commitments) != set(plan.dts) or common != found.input:
            raise _other(dt, "does not hash to what was signed")
        first = first or found
        named = (found.agreed, found.checkpoint, found.commitments)
        if named != (first.agreed, first.checkpoint, first.commitments):
            raise _other(dt, "names other commitments than the others")
    if first is None:
        raise BadInputError("There are no results.")
    return first


def logged(log: LogState, results: RunResults) -> bool:
    """Tell whether the log holds the last checkpoint, with the receipts of all parties."""
    return any(
        group.input == results.input
        and group.request == results.request
        and group.run == results.run
        and group.members >= results.commitments.keys()
        for group in log.groups
    )


def open_results(
    plan: Plan, results: RunResults, folders: Mapping[Hex32, Path], target: Path, spu: Path
) -> Path | None:
    """Put the shares together, each held against its commitment; return the file of values.

    Local operations, and scripts on Rosetta, leave values: the first party's that has any.

    Raises
    ------
    DataTokenError
        When a share is not the committed one, or a value is not finite or out of bounds.
    """
    staged = results.checkpoint > 0
    linked = [
        one
        for one in plan.linked
        if one.role is Role.SPU_COMPUTE or (one.role is Role.ROSETTA and staged)
    ]
    if not linked:
        return _revealed(folders)
    for one in linked:
        check_results(folders[one.dt], results.commitments[one.dt])
    shares = [folders[one.dt] for one in linked]
    if linked[0].role is Role.ROSETTA:
        open_rosetta(shares, target)
    else:
        SpuEngine(spu).reconstruct(shares, target)
    return target


def _revealed(folders: Mapping[Hex32, Path]) -> Path | None:
    """Return the first file of values; what several parties were shown must be the same."""
    files = [(dt, path) for dt, folder in folders.items() for path in sorted(folder.glob("*.npz"))]
    known: dict[str, Any] = {}
    for dt, path in files:
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                if not np.array_equal(known.setdefault(name, arrays[name]), arrays[name]):
                    raise _other(dt, f"has another {name} than the others'")
    return files[0][1] if files else None


def values(path: Path) -> dict[str, Any]:
    """Return the opened arrays as JSON can carry them; large ones by their shape."""
    found: dict[str, Any] = {}
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            array = arrays[name]
            small = array.size <= SMALL and array.dtype.kind in "biuf"
            found[name] = array.tolist() if small else {"shape": list(array.shape)}
    return found


def paths(folder: Path, parties: Sequence[Participant]) -> dict[Hex32, Path]:
    """Return where each party's files go."""
    return {
        one.dt: folder / (f"{one.rank}" if one.rank is not None else one.dt[:10]) for one in parties
    }


def _read(path: Path) -> RunResults:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_RUN_BYTES + 1)
    except OSError as error:
        raise BadInputError(f"The results {path} can't be read: {error.strerror}.") from None
    return validate(RunResults, parse_json(content, RUN, MAX_RUN_BYTES), RUN)


def _other(dt: Hex32, why: str) -> Refused:
    return Refused(Reason.CHECKPOINT_MISMATCH, f"What DT {dt[:10]}… gives as result {why}.")

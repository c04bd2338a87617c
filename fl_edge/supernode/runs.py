"""Runs: every field of what a SuperLink says about a run is derived anew from bytes.

A SuperLink chooses the run's FAB, and the FAB has to hash to what was registered; all the rest
(name, version, series, task type) follows from it. What the SuperLink says and the bytes do
not bear out is a contradiction, and a contradiction is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from flwr.common.config import get_fused_config_from_fab, get_metadata_from_config
from flwr.supercore.constant import TaskType
from flwr.supercore.fab import Fab
from flwr.supercore.run import Run

from datatoken.authorization.reasons import Reason, Refused
from datatoken.errors import BadInputError
from datatoken.types import Hex32, Scalar, sha256_hex
from fl_edge.fab import app_config, effective_config
from fl_edge.fab.keys import JOB_KEY, REQUEST_KEY

HINT_KEYS = (JOB_KEY, REQUEST_KEY)

HEX32 = re.compile(r"0x[0-9a-f]{64}")
SAFE_NAME = re.compile(r"[A-Za-z0-9][\w.\-+]{0,127}", re.ASCII)
TASK_TYPES = ("", TaskType.SERVER_APP)


@dataclass(frozen=True, slots=True)
class Hints:
    """What the SuperLink names: where to look, never what to believe."""

    job: Hex32 | None = None
    request: Hex32 | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run as the gate has rebuilt it.

    Attributes
    ----------
    run, fab
        What flwr is given.
    artefact : Hex32
        sha256 of the FAB's bytes.
    parameters : mapping
        The effective run configuration.
    """

    run: Run
    fab: Fab
    artefact: Hex32
    hints: Hints
    parameters: Mapping[str, Scalar] = field(default_factory=dict)


def check_fab(run_id: int, run: Run, fab: Fab) -> Hex32:
    """Return the sha256 of the delivered FAB; it must be what run and FAB both announce.

    Raises
    ------
    Refused
    """
    artefact = sha256_hex(fab.content)
    if run.run_id != run_id:
        raise Refused(Reason.RUN_NOT_ACCEPTED, "The SuperLink answered with another run.")
    if not artefact == "0x" + run.fab_hash == "0x" + fab.hash_str:
        raise Refused(
            Reason.OPERATION_MISMATCH,
            f"The run announces FAB {run.fab_hash[:8]}…, {artefact[2:10]}… was delivered.",
        )
    return artefact


def hints_of(run: Run) -> Hints:
    """Return the job and the compute request that the run's configuration names.

    Raises
    ------
    Refused
        A hint that is no id at all.
    """
    found: list[Hex32 | None] = []
    for key in HINT_KEYS:
        value = run.override_config.get(key)
        if value is not None and not (isinstance(value, str) and HEX32.fullmatch(value)):
            raise Refused(Reason.RUN_NOT_ACCEPTED, f"The run names a {key} that is no id.")
        found.append(value)
    return Hints(*found)


def rebuild(run_id: int, run: Run, fab: Fab) -> RunFacts:
    """Return the run rebuilt from the FAB; `check_fab` and the owner have accepted its bytes.

    Raises
    ------
    Refused
        RUN_NOT_ACCEPTED for a contradiction, PARAMETERS_OUTSIDE_TERMS for an override that
        the app does not declare or of another type.
    """
    artefact, hints = check_fab(run_id, run, fab), hints_of(run)
    overrides = {k: v for k, v in run.override_config.items() if k not in HINT_KEYS}
    fab_id, version = _identity(run, fab.content)
    try:
        parameters = effective_config(fab.content, overrides)
    except BadInputError as error:
        raise Refused(Reason.PARAMETERS_OUTSIDE_TERMS, error.message) from None
    rebuilt = Run.create_empty(run_id)
    rebuilt.fab_id, rebuilt.fab_version, rebuilt.fab_hash = fab_id, version, run.fab_hash
    rebuilt.override_config = {name: parameters[name] for name in overrides}
    # State and configuration of a run are kept under the series: a shared one leaks them.
    rebuilt.series_id = run_id
    rebuilt.primary_task_type = TaskType.SERVER_APP
    _rehearse(rebuilt, fab.content)
    return RunFacts(rebuilt, fab, artefact, hints, parameters)


def _identity(run: Run, fab: bytes) -> tuple[str, str]:
    """Return (fab_id, version) from the FAB; they become a folder's name, so they are plain."""
    try:
        config = app_config(fab)
        fab_id, version = get_metadata_from_config(config)
        components = config["tool"]["flwr"]["app"]["components"]
    except (BadInputError, KeyError, TypeError) as error:
        raise Refused(Reason.RUN_NOT_ACCEPTED, "The FAB's pyproject.toml is no app's.") from error
    names = (*fab_id.split("/"), version)
    if len(names) != 3 or not all(SAFE_NAME.fullmatch(n) and ".." not in n for n in names):
        raise Refused(Reason.RUN_NOT_ACCEPTED, "The FAB's name or version is not a plain one.")
    if (run.fab_id, run.fab_version) != (fab_id, version):
        raise Refused(
            Reason.RUN_NOT_ACCEPTED,
            f"The FAB is {fab_id} {version}; the SuperLink says something else.",
        )
    if run.primary_task_type not in TASK_TYPES or "agentapp" in components:
        raise Refused(Reason.RUN_NOT_ACCEPTED, "Only apps of a ServerApp and a ClientApp run here.")
    return fab_id, version


def _rehearse(run: Run, fab: bytes) -> None:
    """Do what flwr's loop is going to do with the run: an exception there would end the loop."""
    try:
        get_fused_config_from_fab(fab, run)
    except Exception as error:  # whatever flwr raises here, it would raise in its loop
        raise Refused(
            Reason.RUN_NOT_ACCEPTED, "flwr can't read the FAB's configuration."
        ) from error

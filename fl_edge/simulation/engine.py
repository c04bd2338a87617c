"""One run on flwr's own simulation engine, with or without the gates in its seams.

`flwr.simulation` has no place for hooks: its grid, its backend and `Strategy.start` are
replaced for the time of one run and put back afterwards.
"""

import importlib
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datatoken.errors import BadInputError, DataTokenError, RunFailedError
from datatoken.types import Scalar
from fl_edge.fab import app_config
from fl_edge.simulation import seams
from fl_edge.simulation.backend import GatedBackend, InlineBackend, NodeConfig
from fl_edge.simulation.gates import ClientGates
from fl_edge.simulation.grid import Nodes, SimulationGrid
from fl_edge.simulation.rounds import Desk
from fl_edge.simulation.signals import Signals, StopEvent
from fl_edge.simulation.strategy import Learned, strategies
from fl_edge.simulation.surroundings import (
    ServerThreads,
    environment,
    installed,
    logged,
    scratch_folder,
    seed_all,
)
from fl_edge.simulation.swap import swapped
from fl_edge.superlink.gate import Outgoing

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray would start its workers by `uv run`, in an environment of their own.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
OBJECT_STORE = 128 * 1024 * 1024
"""Bytes of shared memory for Ray; by default it takes a third of the machine's."""


@dataclass(frozen=True)
class Setting:
    """How a run is simulated.

    Attributes
    ----------
    backend : str
        ``ray`` or ``inline``.
    cpus : int
        Ray's workers.
    seed : int, optional
        For `random` and NumPy on the server's side.
    log : callable
        Gets each line of flwr's log.
    answered : callable
        Called after each message that a client has dealt with.
    sent : callable
        Called with what is sent at once, before it leaves.
    """

    clients: int
    backend: str
    cpus: int = 2
    seed: int | None = None
    node_config: NodeConfig = lambda _: {}
    log: Callable[[str], None] = lambda _: None
    answered: Callable[[], None] = lambda: None
    sent: Callable[[list[Outgoing]], None] = lambda _: None


@dataclass(frozen=True)
class Governance:
    """What makes a simulated run a governed one."""

    gates: ClientGates
    desk: Desk


def run_engine(
    fab: bytes,
    overrides: Mapping[str, Scalar],
    setting: Setting,
    run_id: int,
    governed: Governance | None,
) -> Learned:
    """Run an app to its end and return what its strategy has made.

    Raises
    ------
    Refused
        The run was ended by a gate; with its reason.
    RunFailedError
        The app has failed.
    """
    seams.check_engine()
    learned = Learned()
    with ExitStack() as stack:
        stack.enter_context(environment(QUIET))
        app = stack.enter_context(installed(fab))
        stack.enter_context(logged(setting.log))
        stack.enter_context(strategies(learned, governed.desk.minimum if governed else None))
        stack.enter_context(_seamed(setting, governed))
        scratch = stack.enter_context(scratch_folder())
        if setting.seed is not None:
            seed_all(setting.seed)
        try:
            _start(app, fab, overrides, setting, run_id, scratch)
        except DataTokenError:
            raise
        except (Exception, SystemExit) as error:
            raise RunFailedError(
                f"The simulated run failed: {type(error).__name__}: {error}.",
                "The lines above are flwr's own.",
            ) from error
    return learned


def _start(
    app: Path,
    fab: bytes,
    overrides: Mapping[str, Scalar],
    setting: Setting,
    run_id: int,
    scratch: str | None,
) -> None:
    """Call flwr's engine as its own command ``flwr-simulation`` does."""
    from flwr.app import Context, RecordDict
    from flwr.common.config import get_fused_config_from_dir
    from flwr.common.constant import SUPERLINK_NODE_ID
    from flwr.supercore.constant import NOOP_FEDERATION_ID
    from flwr.supercore.run import Run
    from flwr.supercore.task_identity import TaskIdentity
    from flwr.supercore.telemetry import EventType

    components = app_config(fab)["tool"]["flwr"]["app"]["components"]
    if not {"serverapp", "clientapp"} <= set(components):
        raise BadInputError("The app has no ServerApp and ClientApp to be simulated.")
    run = Run.create_empty(run_id)
    run.primary_task_id, run.federation_id = 1, NOOP_FEDERATION_ID
    run.override_config = dict(overrides)
    TaskIdentity.task_id, TaskIdentity.run_id = 1, run_id
    TaskIdentity.node_id = SUPERLINK_NODE_ID
    context = Context(
        run_id=run_id,
        node_id=SUPERLINK_NODE_ID,
        node_config={},
        state=RecordDict(),
        run_config=get_fused_config_from_dir(app, run.override_config),
    )
    importlib.import_module(seams.RUN)._run_simulation(
        num_supernodes=setting.clients,
        exit_event=EventType.PYTHON_API_RUN_SIMULATION_LEAVE,
        backend_name=setting.backend,
        backend_config=backend_config(setting.cpus, scratch),
        client_app_attr=components["clientapp"],
        server_app_attr=components["serverapp"],
        server_app_context=context,
        app_dir=str(app),
        run=run,
        is_app=True,
    )


def backend_config(cpus: int, scratch: str | None) -> dict[str, dict[str, Any]]:
    """Return a configuration of Ray that leaves memory to the clients."""
    start: dict[str, Any] = {
        "num_cpus": cpus,
        "num_gpus": 0,
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if scratch is not None:
        start["_temp_dir"] = scratch
    return {"init_args": start, "client_resources": {"num_cpus": 1, "num_gpus": 0.0}}


@contextmanager
def _seamed(setting: Setting, governed: Governance | None) -> Iterator[None]:
    """Put grid and backend of ours into flwr's engine; nobody uses them once they are gone."""
    run, engine = importlib.import_module(seams.RUN), importlib.import_module(seams.ENGINE)
    original, signals, threads = engine.run_api, Signals(), ServerThreads()
    nodes, desk = Nodes(signals), governed.desk if governed else None

    def answered(message: str, error: str | None) -> None:
        if desk is not None:
            desk.rounds.replied(message, error)
        signals.answered(message)
        setting.answered()

    def grid(state_factory: Any) -> SimulationGrid:
        return SimulationGrid(state_factory, nodes, signals, desk, setting.sent)

    def run_api(*given: Any, **named: Any) -> None:
        call = inspect.signature(original).bind(*given, **named)
        backend_fn = call.arguments["backend_fn"]
        nodes.set(call.arguments["nodes_mapping"])

        def backend() -> GatedBackend:
            inner = InlineBackend() if setting.backend == "inline" else backend_fn()
            gates = governed.gates if governed else None
            return GatedBackend(inner, gates, setting.node_config, answered)

        call.arguments["backend_fn"] = backend
        if governed is not None:
            call.arguments["f_stop"] = StopEvent(call.arguments["f_stop"], signals)
        original(*call.args, **call.kwargs)

    with (
        swapped(run, "InMemoryGrid", grid),
        swapped(run, "run_serverapp_th", threads.wrap(run.run_serverapp_th)),
        swapped(engine, "run_api", run_api),
    ):
        try:
            yield
        finally:
            signals.end()
            threads.join()

"""One run on flwr's own simulation engine, with or without the gates in its seams.

`flwr.simulation` has no place for hooks: its grid, its backend and `Strategy.start` are
replaced for the time of one run and put back afterwards.
"""

import importlib
import inspect
import logging
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datatoken.errors import BadInputError, DataTokenError, RunFailedError
from datatoken.types import Scalar
from fl_edge.fab import app_config, read_fab
from fl_edge.simulation import seams
from fl_edge.simulation.backend import GatedBackend, InlineBackend, NodeConfig
from fl_edge.simulation.gates import ClientGates
from fl_edge.simulation.grid import Nodes, Release, SimulationGrid
from fl_edge.simulation.signals import Signals, StopEvent
from fl_edge.simulation.strategy import Learned, strategies
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

SHORT = 40
"""Ray puts sockets below its folder, and the path of a socket is 107 bytes at most."""


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
        Called with each round that may leave.
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
    release: Release
    minimum: int


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
    learned, nodes = Learned(), Nodes()
    with ExitStack() as stack:
        stack.enter_context(_environment(QUIET))
        app = stack.enter_context(_installed(fab))
        stack.enter_context(_logged(setting.log))
        stack.enter_context(strategies(learned, governed.minimum if governed else None))
        stack.enter_context(_seamed(setting, nodes, governed))
        scratch = stack.enter_context(_scratch())
        if setting.seed is not None:
            _seed(setting.seed)
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
def _seamed(setting: Setting, nodes: Nodes, governed: Governance | None) -> Iterator[None]:
    """Put grid and backend of ours into flwr's engine."""
    run, engine = importlib.import_module(seams.RUN), importlib.import_module(seams.ENGINE)
    original, signals = engine.run_api, Signals()

    def answered() -> None:
        signals.answered()
        setting.answered()

    def grid(state_factory: Any) -> SimulationGrid:
        def release(messages: list[Outgoing]) -> None:
            if governed is not None:
                governed.release(messages)
            setting.sent(messages)

        return SimulationGrid(state_factory, nodes, release, signals if governed else None)

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
        swapped(engine, "run_api", run_api),
    ):
        yield


@contextmanager
def _installed(fab: bytes) -> Iterator[Path]:
    """Unpack an app into a folder that is found first, and forget it afterwards."""
    with tempfile.TemporaryDirectory(prefix="fl-app-") as name:
        folder = Path(name).resolve()
        for inner, content in read_fab(fab).items():
            path = folder / inner
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        sys.path.insert(0, str(folder))
        try:
            yield folder
        finally:
            while str(folder) in sys.path:
                sys.path.remove(str(folder))
            for module in [n for n, m in sys.modules.items() if _inside(m, folder)]:
                del sys.modules[module]


def _inside(module: Any, folder: Path) -> bool:
    return str(getattr(module, "__file__", None) or "").startswith(f"{folder}{os.sep}")


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process for a while: Ray's workers get them too."""
    earlier = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(earlier)


@contextmanager
def _logged(say: Callable[[str], None]) -> Iterator[None]:
    """Give flwr's log to `say`, instead of the terminal."""

    class Said(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(f"{record.levelname}: {record.getMessage()}")

    logger = logging.getLogger("flwr")
    with swapped(logger, "handlers", [Said(logging.INFO)]):
        yield


@contextmanager
def _scratch() -> Iterator[str | None]:
    """Make a folder for Ray's session, gone afterwards; None where its path would be too long."""
    name = tempfile.mkdtemp(prefix="fl-")
    try:
        yield name if len(name) <= SHORT else None
    finally:
        shutil.rmtree(name, ignore_errors=True)


def _seed(seed: int) -> None:
    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)

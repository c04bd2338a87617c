"""The parts of flwr's simulation engine that are held on to, and the check that they are there."""

import importlib
import importlib.util
import sys

from datatoken.errors import BadInputError
from fl_edge.superlink.seams import Seam, check

RUN = "flwr.simulation.run_simulation"
ENGINE = "flwr.server.superlink.fleet.vce.vce_api"
RAY, TENSORFLOW = "ray", "tensorflow"

SEAMS = (
    Seam(
        RUN,
        "_run_simulation",
        (
            "num_supernodes",
            "exit_event",
            "client_app",
            "server_app",
            "backend_name",
            "backend_config",
            "client_app_attr",
            "server_app_attr",
            "server_app_context",
            "app_dir",
            "run",
            "enable_tf_gpu_growth",
            "verbose_logging",
            "is_app",
            "metrics",
        ),
    ),
    Seam(RUN, "InMemoryGrid", ("state_factory", "pull_interval")),
    Seam(
        RUN,
        "run_serverapp_th",
        (
            "server_app_attr",
            "server_app",
            "server_app_context",
            "grid",
            "app_dir",
            "f_stop",
            "exception_queue",
            "enable_tf_gpu_growth",
            "ctx_queue",
        ),
    ),
    Seam(
        ENGINE,
        "run_api",
        (
            "app_fn",
            "backend_fn",
            "nodes_mapping",
            "state_factory",
            "node_info_stores",
            "f_stop",
            "metrics",
        ),
    ),
)


def check_engine() -> None:
    """Check every seam of the engine; raise `LocalEnvironmentError`, nothing is started then."""
    _load()
    for seam in SEAMS:
        check(seam)


def _load() -> None:
    """Import the engine, but not TensorFlow, which it loads only to know whether it is there."""
    if TENSORFLOW in sys.modules:
        return
    sys.modules[TENSORFLOW] = None  # type: ignore[assignment]
    try:
        importlib.import_module(RUN)
    except ImportError:
        pass  # the check names what is gone
    finally:
        del sys.modules[TENSORFLOW]


def choose_backend(named: str | None) -> str:
    """Return the backend to use: the one that is named, else Ray where it is installed.

    Raises
    ------
    BadInputError
        Ray is named and not installed.
    """
    installed = importlib.util.find_spec(RAY) is not None
    if named == RAY and not installed:
        raise BadInputError(
            "Ray is not installed.",
            "Install the extra: uv sync --extra simulation; or take --backend inline.",
        )
    return named or (RAY if installed else "inline")

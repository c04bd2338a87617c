"""The seams of flwr's SuperLink that the gate holds on to, and the check that they are there.

None of them is a public interface. Whatever is gone or of another shape stops the start: to
run ungated is never the fallback.
"""

import importlib
import importlib.metadata
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from datatoken.errors import LocalEnvironmentError

CONTROL = "flwr.superlink.servicer.control.control_handlers"
CONTROL_ROUTER = "flwr.superlink.routers.control.router"
FLEET = "flwr.superlink.servicer.fleet.fleet_handlers"
FLEET_ROUTER = "flwr.superlink.routers.fleet.router"
RUNTIME = "flwr.superlink.servicer.runtime.runtime_handlers"
IN_MEMORY = "flwr.server.superlink.linkstate.in_memory_linkstate"
SQL = "flwr.server.superlink.linkstate.sql_linkstate"
COMMAND = "flwr.superlink.cli.flower_superlink"
STRATEGY = "flwr.serverapp.strategy.strategy"
HINT = "Install a version of flwr that this version supports: 1.40 or 1.41."

LINK_STATES = ((IN_MEMORY, "InMemoryLinkState"), (SQL, "SqlLinkState"))


@dataclass(frozen=True, slots=True)
class Seam:
    """One function of flwr, and the parameters that it must take."""

    module: str
    name: str
    parameters: tuple[str, ...]


STORE_MESSAGE = ("self", "message", "object_tree", "session_id")
STORE_OBJECT = ("self", "run_id", "session_id", "object_id", "object_content")
FINISH_TASK = ("self", "task_id", "sub_status", "details")
HEARD_OF = ("self", "node_id", "heartbeat_interval")

SERVER_SEAMS = (
    Seam(CONTROL, "start_run", ("request", "account", "state", "fleet_api_type", "source")),
    Seam(FLEET, "get_run", ("request", "state")),
    Seam(FLEET, "pull_messages", ("request", "state", "store")),
    Seam(FLEET, "confirm_message_received", ("request", "state", "store")),
    *(
        Seam(module, f"{state}.{method}", parameters)
        for module, state in LINK_STATES
        for method, parameters in (
            ("store_message_and_object_tree", STORE_MESSAGE),
            ("store_object", STORE_OBJECT),
            ("finish_task", FINISH_TASK),
            ("add_task_log", ("self", "task_id", "log_message")),
            ("activate_node", HEARD_OF),
            ("acknowledge_node_heartbeat", HEARD_OF),
        )
    ),
    Seam(COMMAND, "flower_superlink", ()),
)
"""What `hooks.install` replaces or calls in the SuperLink's own process."""

START = (
    "self",
    "grid",
    "initial_arrays",
    "num_rounds",
    "timeout",
    "train_config",
    "evaluate_config",
    "evaluate_fn",
)
APP_SEAMS = (
    Seam(STRATEGY, "Strategy.start", START),
    Seam(
        STRATEGY,
        "Strategy.configure_train",
        ("self", "server_round", "arrays", "config", "grid"),
    ),
    Seam(STRATEGY, "Strategy.aggregate_train", ("self", "server_round", "replies")),
    Seam(
        STRATEGY,
        "Strategy.configure_evaluate",
        ("self", "server_round", "arrays", "config", "grid"),
    ),
    Seam(STRATEGY, "Strategy.aggregate_evaluate", ("self", "server_round", "replies")),
    Seam("flwr.superlink.cli.flwr_serverapp", "flwr_serverapp", ()),
)
"""What the wrapper of flwr-serverapp relies on."""

USED = ("get_run_info", "get_tasks", "object_store")
"""What else is read from a LinkState."""

CALLERS = (
    (CONTROL_ROUTER, "control_handlers", "start_run"),
    (FLEET_ROUTER, "fleet_handlers", "get_run"),
)
"""Routers that look a replaced function up in its module when they are called."""

Load = Callable[[str], Any]


def check_server(load: Load = importlib.import_module) -> None:
    """Check every seam of the SuperLink.

    Parameters
    ----------
    load : callable
        Returns a module by name.

    Raises
    ------
    LocalEnvironmentError
        With the first seam that is gone or of another shape; nothing may start.
    """
    for seam in SERVER_SEAMS:
        check(seam, load)
    for module, state in LINK_STATES:
        for name in USED:
            if not hasattr(getattr(load(module), state), name):
                raise _moved(f"{state}.{name} is gone")
    for router, module, function in CALLERS:
        found = getattr(load(router), module, None)
        target = CONTROL if module == "control_handlers" else FLEET
        if found is not load(target):
            raise _moved(f"{router} does not call {module}.{function}")
    if "store_message_and_object_tree" not in _names(load(RUNTIME).push_messages):
        raise _moved("the Runtime API stores messages in another way")
    commands = load("flwr.supercore.constant")
    if commands.TASK_TYPE_TO_COMMAND.get(commands.TaskType.SERVER_APP) != "flwr-serverapp":
        raise _moved("a ServerApp is started by another command")


def check_app(load: Load = importlib.import_module) -> None:
    """Check every seam of the ServerApp's process; raise `LocalEnvironmentError`."""
    for seam in APP_SEAMS:
        check(seam, load)


def check(seam: Seam, load: Load = importlib.import_module) -> None:
    """Check one seam; raise `LocalEnvironmentError`."""
    try:
        found = load(seam.module)
        for part in seam.name.split("."):
            found = getattr(found, part)
        parameters = tuple(inspect.signature(found).parameters)
    except (ImportError, AttributeError, TypeError, ValueError):
        raise _moved(f"{seam.module}.{seam.name} is gone") from None
    if parameters != seam.parameters:
        raise _moved(f"{seam.module}.{seam.name} takes other arguments")


def _names(function: Any) -> frozenset[str]:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return frozenset(code.co_names) if code is not None else frozenset()


def _moved(what: str) -> LocalEnvironmentError:
    version = importlib.metadata.version("flwr")
    return LocalEnvironmentError(
        f"flwr {version} is not as it is known here ({what}); nothing was started.", HINT
    )

"""The seam: eight callables between flwr's main loop and the SuperLink.

flwr's SuperNode gets everything through what ``_init_connection`` yields: the node id and
receive, send, get_run, get_fab, pull_object, push_object, confirm. Whoever wraps these holds
all that comes in and all that leaves, and no app can step around it: an app runs in another
process and has no connection to the SuperLink.

The seam is not a public interface of flwr, so its shape is checked before anything starts:
running ungated is never the fallback.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import Any, NamedTuple, get_args

from flwr.app import Message
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.fab import Fab
from flwr.supercore.run import Run

from datatoken.errors import LocalEnvironmentError

Received = tuple[Message, ObjectTree]
Connect = Callable[..., AbstractContextManager[tuple[Any, ...]]]

CONNECTION_PARAMETERS = [
    "server_address",
    "insecure",
    "root_certificates",
    "authentication_keys",
    "max_retries",
    "max_wait_time",
]
PULL_PARAMETERS = {
    "receive",
    "get_run",
    "get_fab",
    "pull_object",
    "confirm_message_received",
}
PUSH_PARAMETERS = {"send", "push_object"}
HINT = "Install a version of flwr that this version supports: 1.40 or 1.41."


class Link(NamedTuple):
    """What flwr's main loop talks to the SuperLink with, in flwr's own order."""

    node_id: int
    receive: Callable[[], Received | None]
    send: Callable[[Message, ObjectTree, float], tuple[set[str], str]]
    get_run: Callable[[int], Run]
    get_fab: Callable[[str, int], Fab]
    pull_object: Callable[[int, str], bytes]
    push_object: Callable[[int, str, str, bytes], None]
    confirm: Callable[[int, str], None]


def check_seam(module: ModuleType | None = None) -> None:
    """Check that this flwr passes everything through the seam, in the shape that is known.

    Parameters
    ----------
    module : module, optional
        Stands in for ``flwr.supernode.start_client_internal``.

    Raises
    ------
    LocalEnvironmentError
        The seam is gone or of another shape; nothing may start.
    """
    module = module or _flwr_module()
    for name in ("_init_connection", "start_client_internal", "RunNotRunningException"):
        if not hasattr(module, name):
            raise _moved(f"{name} is gone")
    connect = inspect.unwrap(module._init_connection)
    if list(inspect.signature(connect).parameters) != CONNECTION_PARAMETERS:
        raise _moved("_init_connection takes other arguments")
    if _yielded(connect) != len(Link._fields):
        raise _moved(f"_init_connection does not yield {len(Link._fields)} values")
    if "_init_connection" not in _names(module.start_client_internal):
        raise _moved("the main loop does not use _init_connection")
    for loop, expected in (
        ("_pull_and_store_message", PULL_PARAMETERS),
        ("_push_messages", PUSH_PARAMETERS),
    ):
        function = getattr(module, loop, None)
        if function is None or loop not in _names(module.start_client_internal):
            raise _moved(f"{loop} is gone")
        if not expected <= set(inspect.signature(function).parameters):
            raise _moved(f"{loop} takes other arguments")


def check_command(module: ModuleType | None = None) -> None:
    """Check that flwr's command starts the very main loop whose seam was checked.

    Raises
    ------
    LocalEnvironmentError
    """
    from flwr.supernode.cli import flower_supernode as command

    found = module or inspect.getmodule(command)
    loop = getattr(found, "start_client_internal", None)
    if loop is not _flwr_module().start_client_internal:
        raise _moved("flower-supernode starts another main loop")
    if "start_client_internal" not in _names(getattr(found, "flower_supernode", None)):
        raise _moved("flower-supernode does not start the main loop itself")


def install(make_gate: Callable[[Link], Link], module: ModuleType | None = None) -> None:
    """Put a gate between flwr's main loop and its connection.

    Parameters
    ----------
    make_gate : callable
        Gets the real link and returns the one that flwr is given.
    module : module, optional
        Stands in for ``flwr.supernode.start_client_internal``.

    Raises
    ------
    LocalEnvironmentError
        As `check_seam`.
    """
    module = module or _flwr_module()
    check_seam(module)
    connect: Connect = module._init_connection

    @contextmanager
    def guarded(*arguments: Any, **options: Any) -> Iterator[tuple[Any, ...]]:
        with connect(*arguments, **options) as connection:
            yield tuple(make_gate(link_of(connection)))

    module._init_connection = guarded  # type: ignore[attr-defined]


def link_of(connection: object) -> Link:
    """Return what flwr's connection yielded as a `Link`.

    Raises
    ------
    LocalEnvironmentError
        It is not an id and seven callables.
    """
    if not isinstance(connection, tuple) or len(connection) != len(Link._fields):
        raise _moved("the connection is of another shape")
    node_id, *callables = connection
    if not isinstance(node_id, int) or not all(map(callable, callables)):
        raise _moved("the connection is of another shape")
    return Link(*connection)


def _flwr_module() -> ModuleType:
    import flwr.supernode.start_client_internal as module

    return module


def _yielded(connect: Callable[..., Any]) -> int:
    """Return how many values the annotation of the generator says that it yields."""
    try:
        (made,) = get_args(inspect.signature(connect, eval_str=True).return_annotation)
    except (ValueError, NameError, TypeError):
        return 0
    return len(get_args(made))


def _names(function: object) -> tuple[str, ...]:
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return code.co_names if code is not None else ()


def _moved(what: str) -> LocalEnvironmentError:
    from flwr.supercore.version import package_version

    return LocalEnvironmentError(
        f"The gate can't be put into flwr {package_version}: {what}. Nothing was started.", HINT
    )

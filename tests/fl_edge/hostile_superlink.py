"""A real SuperLink that lies: ``python -m tests.fl_edge.hostile_superlink ARGS``.

The file named by LIE_FILE says which lie is told at the moment.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flwr.superlink.cli import flower_superlink
from flwr.superlink.servicer.fleet import fleet_handlers

NOBODY = "ab" * 32
_original = {
    name: getattr(fleet_handlers, name)
    for name in ("pull_messages", "push_messages", "get_run", "get_fab", "pull_object")
}


def lie() -> str:
    """Return the lie of the moment."""
    path = Path(os.environ["LIE_FILE"])
    return path.read_text().strip() if path.exists() else ""


def pull_messages(*arguments: Any, **options: Any) -> Any:
    response = _original["pull_messages"](*arguments, **options)
    if not response.messages_list:
        return response
    metadata, tree = response.messages_list[0].metadata, response.message_object_trees[0]
    match lie():
        case "evaluate around train":
            metadata.message_type = "evaluate"
        case "another group":
            metadata.group_id = "7"
        case "tree of nonsense":
            tree.children[0].object_id = "not an id"
        case "tree without a leaf":
            del tree.children[0].children[0].children[:]
        case "no tree":
            del response.message_object_trees[:]
    return response


def push_messages(*arguments: Any, **options: Any) -> Any:
    response = _original["push_messages"](*arguments, **options)
    match lie():
        case "asks for objects never offered":
            response.objects_to_push.append(NOBODY)
        case "asks for none":
            del response.objects_to_push[:]
    return response


def get_run(*arguments: Any, **options: Any) -> Any:
    response = _original["get_run"](*arguments, **options)
    run = response.run
    match lie():
        case "shared series":
            run.series_id = 7
        case "version with a path":
            run.fab_version = "../../../../tmp"
        case "agentapp":
            run.primary_task_type = "flwr-agentapp"
        case "override of another type":
            run.override_config["epochs"].string = "many"
        case "unknown override":
            run.override_config["no-such-key"].sint64 = 1
        case "another FAB":
            run.fab_hash = NOBODY
    return response


def get_fab(*arguments: Any, **options: Any) -> Any:
    response = _original["get_fab"](*arguments, **options)
    if lie() == "swapped bundle":
        response.fab.content = response.fab.content + b"\n"
    return response


def pull_object(*arguments: Any, **options: Any) -> Any:
    response = _original["pull_object"](*arguments, **options)
    if lie() == "other bytes" and response.object_content:
        response.object_content = response.object_content + b"x"
    return response


def install() -> None:
    """Put the lies in."""
    lies: dict[str, Callable[..., Any]] = {
        "pull_messages": pull_messages,
        "push_messages": push_messages,
        "get_run": get_run,
        "get_fab": get_fab,
        "pull_object": pull_object,
    }
    for name, function in lies.items():
        setattr(fleet_handlers, name, function)


if __name__ == "__main__":
    install()
    flower_superlink()

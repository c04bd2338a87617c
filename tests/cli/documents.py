"""Documents that the commands' tests publish."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

from tests.cli.conftest import Cli
from tests.support.world import bundle_of

_numbers = itertools.count(1)


def operation(cli: Cli, name: str = "EdgeComp", kind: str = "client", **fields: Any) -> str:
    """Register an operation by the command and return its id."""
    number = next(_numbers)
    code = bundle_of({"op/__init__.py": f"NUMBER = {number}\n"})
    point = "serverapp" if kind == "server" else "clientapp"
    document = {
        "name": name,
        "kind": kind,
        "entry_points": {point: "op:app"},
        "messages": [] if kind == "server" else ["train", "evaluate"],
        **fields,
    }
    found = cli.run(
        "op",
        "register",
        cli.write(f"{number}.zip", code),
        cli.write(f"{number}.json", document),
        key="administrator",
    )
    return str(found["operation"])


def metadata(*operations: str, **service: Any) -> dict[str, Any]:
    """Return plain metadata of a leaf, unlike any made before."""
    plain = {
        "type": "data",
        "endpoint": f"urn:{os.urandom(8).hex()}",
        "supported_ops": list(operations),
        "extra_params": {"name": "Data"},
    }
    return {"services": [{**plain, **service}]}


def publish(cli: Cli, plain: object, key: str) -> str:
    """Publish plain metadata by the command and return the DT."""
    path: Path = cli.write(f"metadata-{next(_numbers)}.json", plain)
    return str(cli.run("dt", "publish", path, key=key)["dt"])


def stored(cli: Cli) -> tuple[int, int]:
    """Return how many blocks the store holds and how many DTs the chain."""
    return len(list((cli.folder / "store").rglob("*.data"))), len(cli.run("dt", "list"))


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))

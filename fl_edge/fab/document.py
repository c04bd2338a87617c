"""The operation document of code in a folder: what the administrator registers beside the bytes.

For a bundle of ours ``operation.json`` says it; for a foreign Flower app it is derived from the
app's own ``pyproject.toml``. The lock is what is installed where the document is made.
"""

import importlib.metadata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from datatoken.ddo.terms import PYTHON_TYPES, ScalarType
from datatoken.errors import BadInputError
from datatoken.types import MessageKind, Scalar
from fl_edge.fab.build import app_config, fab_defaults
from fl_edge.fab.bundle import OperationSource

Installed = Callable[[str], str]
"""Returns the installed version of a distribution; raises `PackageNotFoundError`."""

ROUND_KEY = "server-round"
"""What flwr's strategies write into the configuration record of every message."""

MAX_TEXT = 4096


def source_fields(
    source: OperationSource, installed: Installed = importlib.metadata.version
) -> dict[str, Any]:
    """Return the document's fields of a client or server bundle (all but those of its bytes).

    Raises
    ------
    BadInputError
        When a parameter has no schema, or a dependency is not installed here.
    """
    plain = source.model_dump(mode="json", exclude_none=True, exclude={"config", "dependencies"})
    if undeclared := source.config.keys() - source.parameters.keys():
        raise BadInputError(
            f"operation.json gives {sorted(undeclared)[0]!r} a default but no schema.",
            "Add it to parameters.",
        )
    if len(source.config) != len(source.parameters):
        missing = sorted(source.parameters.keys() - source.config.keys())[0]
        raise BadInputError(
            f"operation.json gives {missing!r} a schema but no default.", "Add it to config."
        )
    for name, default in source.config.items():
        plain["parameters"][name]["default"] = default
    return {**plain, "lock": lock_of(source.dependencies, installed)}


def app_fields(
    fab: bytes,
    messages: Sequence[MessageKind] = (MessageKind.TRAIN, MessageKind.EVALUATE),
    installed: Installed = importlib.metadata.version,
) -> dict[str, Any]:
    """Return the document's fields of a foreign Flower app, derived from its FAB.

    Raises
    ------
    BadInputError
        When its configuration can't be read, or a dependency is not installed here.
    """
    config = app_config(fab)
    project, app = config.get("project", {}), config["tool"]["flwr"]["app"]
    components = app["components"]
    points = {key: components[key] for key in ("clientapp", "serverapp") if key in components}
    if set(components) != set(points) or len(points) != 2:
        raise BadInputError("The app must have a clientapp and a serverapp, and nothing else.")
    description = str(project.get("description") or "")[:MAX_TEXT]
    return {
        "name": str(project.get("name", "app")),
        "description": description,
        "kind": "app",
        "entry_points": points,
        "parameters": {name: _spec(value) for name, value in fab_defaults(fab).items()},
        "records": {
            ROUND_KEY: {"type": "int", "minimum": 0, "description": "flwr's own round number."}
        },
        "messages": [kind.value for kind in messages],
        "lock": lock_of([str(text) for text in project.get("dependencies", [])], installed),
    }


def lock_of(dependencies: Iterable[str], installed: Installed) -> dict[str, str]:
    """Return distribution → installed version; raise `BadInputError` for one that is missing."""
    found: dict[str, str] = {}
    for text in dependencies:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise BadInputError(f"The dependency {text!r} can't be read: {error}.") from None
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            version = installed(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            raise BadInputError(
                f"The dependency {requirement.name} is not installed here, so it can't be locked.",
                f"Install it first: pip install '{text}'.",
            ) from None
        if not requirement.specifier.contains(version, prereleases=True):
            raise BadInputError(
                f"{requirement.name} {version} is installed; the code asks for {text}.",
                f"Install it first: pip install '{text}'.",
            )
        found[requirement.name] = version
    return dict(sorted(found.items()))


def _spec(value: Scalar) -> Mapping[str, Any]:
    return {"type": _type_of(value), "default": value}


def _type_of(value: Scalar) -> ScalarType:
    return next(name for name, kind in PYTHON_TYPES.items() if type(value) is kind)

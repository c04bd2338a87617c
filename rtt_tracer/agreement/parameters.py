"""The one run configuration that all parties of an MPC run share (ADR 0019)."""

from collections.abc import Iterable, Mapping

from datatoken.authorization.tree import VerifiedTree
from datatoken.ddo.operation import OperationDocument
from datatoken.ddo.terms import same, violations
from datatoken.errors import BadInputError
from datatoken.types import Hex32, Scalar


def fixed_parameters(tree: VerifiedTree, operations: Iterable[Hex32]) -> dict[str, Scalar]:
    """Return what the workflows of a tree fix for some operations.

    Raises
    ------
    BadInputError
        When two of them fix one parameter differently: no run can satisfy both.
    """
    wanted, found = set(operations), dict[str, Scalar]()
    for ddo in tree.ddos.values():
        for workflow in ddo.service.workflows:
            for operation, values in workflow.configs.parameters.items():
                if operation in wanted:
                    _merge(found, values)
    return found


def _merge(found: dict[str, Scalar], values: Mapping[str, Scalar]) -> None:
    for name, value in values.items():
        if name in found and not same(found[name], value):
            raise BadInputError(
                f"The workflows fix parameter {name!r} to {found[name]!r} and to {value!r}.",
                "Compose an algorithm whose workflows agree: all parties share one configuration.",
            )
        found[name] = value


def effective_parameters(
    documents: Iterable[OperationDocument],
    fixed: Mapping[str, Scalar],
    given: Mapping[str, Scalar],
) -> dict[str, Scalar]:
    """Return the effective run configuration: defaults, then what is fixed, then what is given.

    Parameters
    ----------
    documents : iterable of OperationDocument
        All MPC operations of the tree.
    fixed : mapping
        `fixed_parameters`; a given value that differs from it is refused, as every gate would.
    given : mapping
        The requester's own choice.

    Raises
    ------
    BadInputError
        When no gate could accept the result.
    """
    schemas = [document.parameters for document in documents]
    defaults: dict[str, Scalar] = {}
    unlike: set[str] = set()
    for schema in schemas:
        for name, spec in schema.items():
            if spec.default is None:
                continue
            if name in defaults and not same(defaults[name], spec.default):
                unlike.add(name)
            defaults[name] = spec.default
    if missing := sorted(unlike - fixed.keys() - given.keys()):
        raise BadInputError(
            f"The operations have different defaults for parameter {missing[0]!r}.",
            "Give its value.",
        )
    wrong = [
        f"parameter {name!r} is fixed to {fixed[name]!r} by the workflow"
        for name, value in given.items()
        if name in fixed and not same(fixed[name], value)
    ]
    found = {**defaults, **fixed, **given}
    known = {name for schema in schemas for name in schema}
    wrong += [f"parameter {name!r} is not declared" for name in found if name not in known]
    wrong += [why for schema in schemas for why in violations(schema, found, closed=False)]
    if wrong:
        raise BadInputError(
            f"The parameters do not fit the operations: {'; '.join(dict.fromkeys(wrong))}.",
            "See the operations' parameters: datatoken op show.",
        )
    return found

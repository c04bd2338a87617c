"""Does a composite's DDO stay within its children's terms? All violations at once.

Two questions, both asked before anything goes on chain: may this composite be minted over
these children (`composition_violations`), and may this child grant this parent
(`agreement_violations`)?
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from datatoken.ddo.models import SELF, Ddo, Metadata, Workflow
from datatoken.ddo.operation import OperationDocument
from datatoken.ddo.terms import violations
from datatoken.types import Hex32, Scalar

Add = Callable[[str, str], None]
"""(field, why) → None: collects a violation."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a parent's DDO breaks a child's terms."""

    child: Hex32
    field: str
    why: str

    def __str__(self) -> str:
        return f"{self.child[:10]}…: {self.field}: {self.why}"


def agreement_violations(
    child: Ddo,
    parent: Ddo,
    operations: Mapping[Hex32, OperationDocument],
    *,
    now: int,
    guarantor: str | None = None,
) -> list[Violation]:
    """Return every reason why `child`'s owner should not grant `parent`.

    Parameters
    ----------
    child, parent : Ddo
        Verified documents.
    operations : mapping of Hex32 to OperationDocument
        Documents of the registered operations that either names; one that is missing is a
        violation.
    now : int
        Unix time in seconds.
    guarantor : str, optional
        The institution that is going to post, where it is known already.
    """
    if child.dt not in parent.children:
        return [Violation(child.dt, "child_dts", "the parent does not name this child")]
    index = str(parent.children.index(child.dt))
    found: list[Violation] = []

    def add(field: str, why: str) -> None:
        found.append(Violation(child.dt, field, why))

    for workflow in parent.service.workflows:
        for ref in workflow.operations(index):
            for operation, fixed in _run_at(ref, child, workflow):
                _check_operation(operation, child, operations, add)
                for why in violations(child.terms.parameters, fixed, closed=False):
                    add("parameters", why)
                if operation in operations:
                    declared = operations[operation].parameters
                    for why in violations(declared, fixed, closed=True):
                        add("parameters", f"{operations[operation].name}: {why}")
    _check_terms(child, parent, now, guarantor, add)
    return list(dict.fromkeys(found))


def _run_at(ref: str, child: Metadata, workflow: Workflow) -> list[tuple[Hex32, dict[str, Scalar]]]:
    """Return (operation, fixed parameters) that a reference makes run at the child itself."""
    if ref != SELF:
        return [(ref, dict(workflow.configs.parameters.get(ref, {})))]
    own = [
        (operation, {**own_flow.configs.parameters.get(operation, {})})
        for own_flow in child.service.workflows
        for operation in own_flow.operations(SELF)
    ]
    return [
        (operation, {**fixed, **workflow.configs.parameters.get(operation, {})})
        for operation, fixed in own
    ]


def _check_operation(
    operation: Hex32, child: Metadata, operations: Mapping[Hex32, OperationDocument], add: Add
) -> None:
    supported = set(child.service.supported_ops)
    own = {op for flow in child.service.workflows for op in flow.operations(SELF)}
    if operation not in supported | own:
        name = operations[operation].name if operation in operations else operation[:10] + "…"
        add("supported_ops", f"operation {name} is not supported")
    if operation not in operations:
        add("supported_ops", f"operation {operation[:10]}… is not registered")


def _check_terms(
    child: Metadata, parent: Metadata, now: int, guarantor: str | None, add: Add
) -> None:
    terms, asked = child.terms, parent.service.extra_params
    if child.children and not child.service.workflows:
        add("workflows", "the child is a composite without a workflow")
    if terms.purposes and asked.purpose not in terms.purposes:
        shown = f"{asked.purpose!r}" if asked.purpose else "none"
        add("purpose", f"{shown} is not one of {', '.join(terms.purposes)}")
    if terms.expiry is not None and terms.expiry <= now:
        add("expiry", "the child's terms have expired")
    if terms.guarantors and guarantor is not None and guarantor not in terms.guarantors:
        add("guarantors", f"{guarantor} is not accepted")
    allowed = asked.terms.guarantors
    if terms.guarantors and allowed and not set(allowed) <= set(terms.guarantors):
        add("guarantors", "the parent accepts guarantors that the child does not")
    minimum, members = asked.terms.min_participants, len(parent.children)
    # On a composite the minimum is of its own children, so it asks nothing of the parent.
    if terms.min_participants is not None and not child.children:
        if terms.min_participants > members:
            add("min_participants", f"{terms.min_participants} of {members} children")
        elif minimum is not None and minimum < terms.min_participants:
            add("min_participants", f"the parent asks for {minimum} only")


def composition_violations(
    parent: Metadata,
    children: Sequence[Ddo],
    operations: Mapping[Hex32, OperationDocument],
) -> list[Violation]:
    """Return why `parent` is no sound composite: its supported_ops against its children's.

    On a composite, `supported_ops` are operations that all children support; every
    operation anywhere must be registered.
    """
    found = []
    known = {child.dt: child for child in children}
    for dt in parent.children:
        if dt not in known:
            found.append(Violation(dt, "child_dts", "this DT does not exist"))
    for operation in parent.service.supported_ops:
        if operation not in operations:
            found.append(Violation(operation, "supported_ops", "this operation is not registered"))
        for child in children:
            if operation not in child.service.supported_ops:
                why = f"the composite offers {operation[:10]}…, this child does not support it"
                found.append(Violation(child.dt, "supported_ops", why))
    for workflow in parent.service.workflows:
        for stage in workflow.set_ops:
            for key, ref in stage.items():
                if ref != SELF and ref not in operations:
                    found.append(
                        Violation(ref, f"set_ops[{key}]", "this operation is not registered")
                    )
    return list(dict.fromkeys(found))

"""Documents of a data token: what the owner says of an asset, and under which terms.

A DDO is ``{dt, proof, services}``; its metadata are the DDO without ``dt`` and ``proof``
(`datatoken.ddo.proof`). Unknown fields are refused everywhere: a field that a reader does
not know could be a term that it would fail to keep.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from datatoken.ddo.tables import TableSchema
from datatoken.ddo.terms import Terms
from datatoken.types import Address, AssetKind, Hex32, Model, Scalar

SELF = "self"
"""In `set_ops`: as a key the composite itself, as a value the child's own workflow."""

MAX_CHILDREN = 1024
MAX_DDO_BYTES = 256 * 1024

ServiceType = Literal["data", "compute", "algorithm"]
ChildKey = Annotated[str, StringConstraints(pattern=r"^(self|0|[1-9][0-9]{0,3})$")]
OperationRef = Annotated[str, StringConstraints(pattern=r"^(self|0x[0-9a-f]{64})$")]
Text = Annotated[str, StringConstraints(max_length=4096)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]

KINDS = {
    "data": AssetKind.DATA,
    "compute": AssetKind.COMPUTE,
    "algorithm": AssetKind.ALGORITHM,
}


class Configs(Model):
    """Run parameters and order of a workflow.

    Attributes
    ----------
    parameters : dict
        Operation id → parameter name → value: what this workflow fixes.
    order : list of list of str
        Stages by child key, run one after the other; empty: the order of `set_ops`.
    """

    parameters: dict[Hex32, dict[str, Scalar]] = {}
    order: list[list[ChildKey]] = []


class Workflow(Model):
    """A distributed workflow: one operation for each child, stage by stage.

    Attributes
    ----------
    set_ops : list of dict
        One dict a stage: child key (its index in `child_dts`, or ``self``) → operation id,
        or ``self`` for the child's own workflow.
    """

    set_ops: list[dict[ChildKey, OperationRef]] = Field(min_length=1, max_length=64)
    configs: Configs = Configs()

    def operations(self, key: str) -> list[str]:
        """Return the operation ids (or ``self``) that the stages give to child `key`."""
        return [stage[key] for stage in self.set_ops if key in stage]


class RecorderRef(Model):
    """The recorder that logs the rounds of a composite: its account and its endpoint."""

    account: Address
    endpoint: Text


class ExtraParams(Model):
    """What people read about an asset, and its owner's terms.

    `purpose` is what a composite or an algorithm asks its children for. `replaces` names
    the DT of an earlier version. `table_schema` says what the rows of a data asset look like.
    `annotations` are free text, never evaluated.
    """

    name: Name | None = None
    description: Text | None = None
    provider: Text | None = None
    price: Text | None = None
    purpose: Name | None = None
    terms: Terms = Terms()
    recorder: RecorderRef | None = None
    replaces: Hex32 | None = None
    table_schema: TableSchema | None = None
    annotations: dict[Name, Text] = {}


class Service(Model):
    """{type, endpoint, child_dts, supported_ops, workflows, extra_params} of an asset."""

    type: ServiceType
    endpoint: Text
    child_dts: list[Hex32] = Field(default=[], max_length=MAX_CHILDREN)
    supported_ops: list[Hex32] = Field(default=[], max_length=256)
    workflows: list[Workflow] = Field(default=[], max_length=16)
    extra_params: ExtraParams = ExtraParams()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.child_dts and self.workflows:
            raise ValueError("child_dts is empty but workflows is not: a leaf runs no workflow")
        if self.child_dts and not self.workflows:
            raise ValueError("child_dts is given but workflows is empty: say what each child runs")
        if len(set(self.child_dts)) != len(self.child_dts):
            raise ValueError("child_dts names a DT twice")
        for number, workflow in enumerate(self.workflows):
            _check_workflow(workflow, len(self.child_dts), f"workflows[{number}]")
        return self


def _check_workflow(workflow: Workflow, children: int, where: str) -> None:
    """Every child has an operation, no key points outside, `self` is not its own operation."""
    given: set[str] = set()
    for number, stage in enumerate(workflow.set_ops):
        for key, operation in stage.items():
            if key == SELF and operation == SELF:
                raise ValueError(f"{where}.set_ops[{number}]: self can't run self")
            if key != SELF and int(key) >= children:
                raise ValueError(f"{where}.set_ops[{number}] names child {key} of {children}")
        given |= stage.keys()
    missing = [str(i) for i in range(children) if str(i) not in given]
    if missing:
        raise ValueError(f"{where}.set_ops gives no operation to child {', '.join(missing[:5])}")
    for stage_keys in workflow.configs.order:
        if unknown := set(stage_keys) - given:
            raise ValueError(f"{where}.configs.order names {sorted(unknown)[0]}, set_ops does not")


class Metadata(Model):
    """The DDO without `dt` and `proof`: what `proof` is the hash of.

    One service: a position in the tree must mean one thing. An owner with two services
    mints two DTs (ADR 0004).
    """

    services: list[Service] = Field(min_length=1, max_length=1)

    @property
    def service(self) -> Service:
        """Return the one service."""
        return self.services[0]

    @property
    def children(self) -> list[str]:
        """Return the child DTs in order."""
        return self.service.child_dts

    @property
    def terms(self) -> Terms:
        """Return the owner's terms."""
        return self.service.extra_params.terms

    @property
    def kind(self) -> AssetKind:
        """Return the kind that the on-chain record must name."""
        return KINDS[self.service.type]


class Ddo(Metadata):
    """Metadata document of a data token: {dt, proof, services}."""

    dt: Hex32
    proof: Hex32

    @property
    def metadata(self) -> Metadata:
        """Return the DDO without `dt` and `proof`."""
        return Metadata(services=self.services)

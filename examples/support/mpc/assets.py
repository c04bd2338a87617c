"""The documents: a bank's table and its terms, a compute service, the fintech's algorithm."""

from collections.abc import Mapping, Sequence

from datatoken.ddo import (
    Configs,
    Constraint,
    ExtraParams,
    Metadata,
    RecorderRef,
    Service,
    Terms,
    Workflow,
)
from datatoken.ddo.tables import TableSchema
from datatoken.types import Address, Hex32, Scalar

PURPOSE = "a credit-default model"
STAGES_GRANTED = 400
"""Stages (of each kind) that a grant allows, over all jobs and runs."""

MAX_EPOCHS = 20


def terms(guarantor: Address, most_epochs: int = MAX_EPOCHS) -> Terms:
    """Return a bank's terms: one purpose, a bounded training, one guarantor."""
    return Terms(
        purposes=[PURPOSE],
        parameters={
            "epochs": Constraint(type="int", maximum=most_epochs),
            "receivers": Constraint(enum=["requester"]),
        },
        max_rounds=STAGES_GRANTED,
        guarantors=[guarantor],
    )


def data(
    name: str,
    provider: str,
    endpoint: str,
    operations: Sequence[Hex32],
    terms: Terms,
    schema: TableSchema,
) -> Metadata:
    """Return the document of a table in a bank's private domain."""
    extra = ExtraParams(
        name=name,
        description=f"Credit customers; the rows stay in the private domain of {provider}.",
        provider=provider,
        price="0",
        terms=terms,
        table_schema=schema,
    )
    service = Service(
        type="data", endpoint=endpoint, supported_ops=list(operations), extra_params=extra
    )
    return Metadata(services=[service])


def compute(
    name: str, provider: str, endpoint: str, operations: Sequence[Hex32], terms: Terms
) -> Metadata:
    """Return the document of a service that computes on shares, in the federated domain."""
    extra = ExtraParams(
        name=name,
        description="Computes on shares; never sees a row.",
        provider=provider,
        price="0",
        terms=terms,
    )
    service = Service(
        type="compute", endpoint=endpoint, supported_ops=list(operations), extra_params=extra
    )
    return Metadata(services=[service])


def algorithm(
    name: str,
    children: Sequence[Hex32],
    stages: Sequence[Mapping[str, Hex32]],
    recorder: RecorderRef,
    *,
    purpose: str = PURPOSE,
    parameters: Mapping[Hex32, Mapping[str, Scalar]] | None = None,
) -> Metadata:
    """Return the fintech's document: which child runs which operation, in which order."""
    fixed = {operation: dict(values) for operation, values in (parameters or {}).items()}
    workflow = Workflow(
        set_ops=[dict(stage) for stage in stages], configs=Configs(parameters=fixed)
    )
    service = Service(
        type="algorithm",
        endpoint="",
        child_dts=list(children),
        workflows=[workflow],
        extra_params=ExtraParams(
            name=name, provider="C", price="0", purpose=purpose, recorder=recorder
        ),
    )
    return Metadata(services=[service])

"""The documents of the demo: each user's terms, A's composite, B's algorithm."""

from collections.abc import Mapping, Sequence

from datatoken.ddo import (
    SELF,
    Configs,
    Constraint,
    ExtraParams,
    Metadata,
    RecorderRef,
    Service,
    Terms,
    Workflow,
)
from datatoken.types import Hex32, Scalar

PURPOSE = "train a model that warns of heart disease"
ROUNDS_GRANTED = 60
"""Messages of each kind that a user answers, over all jobs and runs."""

ROUND_TIMEOUT = 180
LEARNING: Mapping[str, Scalar] = {"learning-rate": 0.1, "local-epochs": 10}
"""What A's workflow fixes for EdgeComp."""


def user_data(
    name: str, label: str, rows: int, edgecomp: Sequence[Hex32], guarantor: str, minimum: int
) -> Metadata:
    """Return a user's document: what lies on the device, and on which terms it may be used."""
    terms = Terms(
        purposes=[PURPOSE],
        parameters={
            "learning-rate": Constraint(type="float", maximum=0.5),
            "local-epochs": Constraint(type="int", maximum=20),
        },
        max_rounds=ROUNDS_GRANTED,
        min_participants=minimum,
        guarantors=[guarantor],
    )
    extra = ExtraParams(
        name=f"Heart data of {name}",
        description=f"{rows} rows on one device ({label}); they never leave it.",
        provider=name,
        price="0",
        terms=terms,
    )
    service = Service(
        type="data",
        endpoint="flower:supernode",
        supported_ops=list(edgecomp),
        extra_params=extra,
    )
    return Metadata(services=[service])


def composite(
    users: Sequence[Hex32],
    edgecomp: Hex32,
    fedaverage: Hex32,
    recorder: RecorderRef,
    layers: str,
    minimum: int,
) -> Metadata:
    """Return A's document: EdgeComp at each user, FedAverage at A itself."""
    stage = {str(number): edgecomp for number in range(len(users))}
    workflow = Workflow(
        set_ops=[{**stage, SELF: fedaverage}],
        configs=Configs(parameters={edgecomp: dict(LEARNING), fedaverage: {"layers": layers}}),
    )
    extra = ExtraParams(
        name="Wearables of institution A",
        description=f"{len(users)} users' heart data, trained on by federated averaging.",
        provider="A",
        price="0",
        purpose=PURPOSE,
        terms=Terms(purposes=[PURPOSE], min_participants=minimum, round_timeout=ROUND_TIMEOUT),
        recorder=recorder,
    )
    service = Service(
        type="data",
        endpoint="flower:superlink",
        child_dts=list(users),
        supported_ops=[edgecomp],
        workflows=[workflow],
        extra_params=extra,
    )
    return Metadata(services=[service])


def algorithm(data: Hex32) -> Metadata:
    """Return B's document: A's own workflow, asked for as it is."""
    service = Service(
        type="algorithm",
        endpoint="flower:superlink",
        child_dts=[data],
        workflows=[Workflow(set_ops=[{"0": SELF}])],
        extra_params=ExtraParams(name="Heart model", provider="B", price="0", purpose=PURPOSE),
    )
    return Metadata(services=[service])

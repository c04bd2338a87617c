"""The decision at a composite that runs its own `self` operation (the server's side)."""

import pytest

from datatoken.authorization import Refused, authorize, parameters_digest
from datatoken.types import MessageKind
from tests.authorization.simulator import (
    AVERAGE_ID,
    EDGE_ID,
    FEDAVERAGE,
    World,
    ask,
)


def test_server_and_clients_share_one_run_configuration() -> None:
    """Acceptance: 36."""
    world = World()
    server = world.view().tree.assignments(world.dt("maker"))[0]

    assert server.operation == AVERAGE_ID
    assert world.view().tree.partners(server) == [EDGE_ID]


def test_parameters_of_the_clients_are_declared_for_the_server() -> None:
    world = World()
    documents = {
        EDGE_ID: world.view().operations[EDGE_ID],
        AVERAGE_ID: FEDAVERAGE,
    }
    assert documents[AVERAGE_ID].messages

    lease = authorize(world.view(), ask(world, "maker", bundle=FEDAVERAGE.bundle))

    assert lease.operation == AVERAGE_ID


def test_parameter_that_neither_half_declares_at_the_server() -> None:
    world = World()
    hidden = {"local-epochs": 1, "num-server-rounds": 5, "hidden": 1}
    view = world.view(world.request(parameters=parameters_digest(hidden)))

    with pytest.raises(Refused, match=r"PARAMETERS_OUTSIDE_TERMS.*'hidden' is not declared"):
        authorize(view, ask(world, "maker", bundle=FEDAVERAGE.bundle, parameters=hidden))


def test_server_asks_for_a_kind_that_its_operation_does_not_send() -> None:
    world = World()

    with pytest.raises(Refused, match="MESSAGE_KIND_NOT_ANSWERED"):
        authorize(
            world.view(),
            ask(world, "maker", bundle=FEDAVERAGE.bundle, kind=MessageKind.QUERY),
        )

"""What a simulated gate says is what the decision core says, owner by owner."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from datatoken.authorization.decision import Lease
from datatoken.authorization.reasons import Refused
from datatoken.ddo import Terms
from datatoken.ddo.terms import Constraint
from fl_edge.simulation import gates as module
from fl_edge.simulation.gates import ClientGates
from tests.fl_edge.simulation.parts import Town

STRICT = Terms(parameters={"step": Constraint(type="float", maximum=0.5)})
TERMS = {1: STRICT, 2: Terms(max_rounds=1), 3: Terms(max_rounds=1), 6: Terms(purposes=["other"])}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    made = Town(tmp_path_factory.mktemp("town"), terms=TERMS, minimum=2)
    yield made
    made.close()


def message(kind: str) -> Message:
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
    content = RecordDict(
        {
            "arrays": ArrayRecord([np.zeros((2, 1), np.float32)]),
            "config": ConfigRecord({"server-round": 1}),
        }
    )
    return Message(content, 1, kind)


def answer(gates: ClientGates, client: int, asked: Message) -> Lease | str:
    try:
        return replace(gates.admit(client, asked), block_number=0)  # a block comes every second
    except Refused as refusal:
        return str(refusal)


def test_what_is_decided_once_for_all_alike_is_what_each_would_be_told(town: Town) -> None:
    """Two sets of gates get the same messages; one decides anew for every single owner."""
    facts = town.facts()
    shared = ClientGates(facts, 8, town.site.reader, "1")
    alone = ClientGates(facts, 8, town.site.reader, "1")
    seen: list[Lease | str] = []

    for kind in ("train", "evaluate", "train"):
        asked = message(kind)
        shared.look()
        for client in range(8):
            alone.look()  # forgets what was decided before
            seen.append(answer(shared, client, asked))
            assert seen[-1] == answer(alone, client, asked)
        if len(seen) == 8:
            town.revoke(7)

    leases = [one for one in seen if isinstance(one, Lease)]
    assert len({lease.asset for lease in leases}) == 6
    assert len(leases) == 3 * 3 + 2 * 2 + 1


def test_one_look_at_the_chain_serves_a_round(town: Town) -> None:
    gates = ClientGates(town.facts(), 8, town.site.reader, "2")
    gates.look()
    before = town.site.rpc.calls

    gates.look()
    asked = message("train")
    answers = [answer(gates, client, asked) for client in (0, 4, 5, 0, 4, 5)]

    assert all(isinstance(one, Lease) for one in answers)
    assert town.site.rpc.calls == before + 1


def test_a_request_that_two_threads_read_at_once_is_one_request(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is decided is kept by the request's id: no request may be gone while that is kept."""
    gates = ClientGates(town.facts(), 8, town.site.reader, "3")
    gates.look()
    both, read, decided = threading.Barrier(2), module.read_records, list[object]()
    authorize = gates._authorize

    def read_together(content: RecordDict) -> object:
        both.wait(30)
        return read(content)

    def noted(*given: Any) -> Lease:
        decided.append(given[-1])
        return authorize(*given)

    monkeypatch.setattr(module, "read_records", read_together)
    monkeypatch.setattr(gates, "_authorize", noted)
    asked = message("train")
    unlike = (0, 2)
    threads = [threading.Thread(target=answer, args=(gates, who, asked)) for who in unlike]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(decided) == 2
    assert decided[0] is decided[1]


def test_a_leaf_that_has_work_in_mpc_too_runs_the_plans_app(town: Town) -> None:
    facts = town.facts()
    leaf = facts.leaves[0]
    (own,) = facts.tree_of(leaf).assignments(leaf)
    document = facts.operations[own.operation]
    other = "0x" + "ab" * 32
    share = document.model_copy(update={"kind": "mpc", "bundle": other})
    facts = replace(facts, operations={**facts.operations, other: share})

    found = facts.bundle_of([replace(own, operation=other), own])

    assert found == document.bundle != other

"""How a simulated run ends: as a real one would, and always."""

import threading
import time
from pathlib import Path

import pytest
from flwr.superlink.grid import InMemoryGrid

from datatoken.authorization.reasons import Reason, Refused
from datatoken.ddo import Terms
from datatoken.errors import RunFailedError
from datatoken.types import MessageKind
from fl_edge.simulation.backend import InlineBackend
from tests.fl_edge.simulation.parts import NewTown, changed_client, own_loop, parts

FORBIDDING = Terms(purposes=["something else"])
ONE_BY_ONE = """
    same = content(1)
    for node in nodes:
        list(grid.send_and_receive([Message(same, node, "train")]))
"""


def test_an_app_with_its_own_loop_does_not_complete_without_its_owners(
    new_town: NewTown, tmp_path: Path
) -> None:
    body = """
        list(grid.send_and_receive([Message(content(1), node, "train") for node in nodes]))
    """
    town = new_town(
        members=4,
        terms=dict.fromkeys(range(3), FORBIDDING),
        minimum=2,
        parts=[parts()[0], own_loop(tmp_path, body)],
    )

    with pytest.raises(Refused, match=r"1 of 4 owners contributed.*PURPOSE_NOT_ACC") as refused:
        town.simulation().run()

    assert refused.value.reason is Reason.TOO_FEW_PARTICIPANTS


def test_a_round_that_too_few_have_answered_is_the_last(new_town: NewTown, tmp_path: Path) -> None:
    body = """
        for number in range(3):
            messages = [Message(content(number), node, "train") for node in nodes]
            list(grid.send_and_receive(messages))
    """
    town = new_town(
        members=3, terms={0: FORBIDDING}, minimum=3, parts=[parts()[0], own_loop(tmp_path, body)]
    )
    simulation = town.simulation()

    with pytest.raises(Refused, match="2 of 3 owners contributed"):
        simulation.run()

    assert [one.sent for one in simulation.rounds] == [3]


def test_equal_content_sent_node_by_node_is_one_round(new_town: NewTown, tmp_path: Path) -> None:
    town = new_town(
        members=3,
        minimum=2,
        parts=[parts()[0], own_loop(tmp_path, ONE_BY_ONE)],
        terms={1: FORBIDDING},
    )

    done = town.simulation().run()

    assert [(one.kind, one.sent) for one in done.rounds] == [(MessageKind.TRAIN, 3)]
    assert [(one.round, one.client) for one in done.refusals] == [(1, 1)]


def test_other_content_for_each_node_is_a_round_of_one_owner(
    new_town: NewTown, tmp_path: Path
) -> None:
    body = ONE_BY_ONE.replace("Message(same", "Message(content(node % 1000)")
    town = new_town(members=3, minimum=2, parts=[parts()[0], own_loop(tmp_path, body)])

    with pytest.raises(Refused, match="1 of 1 owners contributed"):
        town.simulation().run()


def test_an_app_that_goes_on_after_a_refusal_does_not_complete(
    new_town: NewTown, tmp_path: Path
) -> None:
    body = """
        for number in range(3):
            try:
                messages = [Message(content(number), node, "train") for node in nodes]
                list(grid.send_and_receive(messages))
            except Exception as error:
                print("ignored", error)
    """
    town = new_town(members=2, parts=[parts()[0], own_loop(tmp_path, body)])

    def close() -> None:
        with town.world.guarantor() as guarantor:
            guarantor.close_job(town.world.job)

    simulation = town.simulation(sent=lambda _: close())
    with pytest.raises(Refused) as refused:
        simulation.run()

    assert refused.value.reason is Reason.JOB_NOT_OPEN
    assert len(simulation.rounds) == 1


@pytest.mark.parametrize(
    ("failing", "sentence"),
    [
        ("raise ValueError('row 7 of patient Meyer')", "The app raised an exception."),
        ("raise SystemExit('row 7 of patient Meyer')", "The app raised an exception."),
        (
            "from flwr.app import Error; "
            "return Message(Error(77, 'row 7 of patient Meyer'), reply_to=message)",
            "The app failed.",
        ),
    ],
)
def test_an_app_that_fails_tells_the_server_nothing_of_the_rows(
    new_town: NewTown, tmp_path: Path, failing: str, sentence: str
) -> None:
    old = "    own = float("
    line = f"    if int(context.node_config['partition-id']) == 0: {failing}\n"
    client = changed_client(tmp_path, old, line + old)
    town = new_town(members=3, minimum=3, rounds=1, parts=[client, parts()[1]])
    lines: list[str] = []
    simulation = town.simulation(log=lines.append)

    with pytest.raises(Refused, match=f"APP_FAILED: {sentence}") as refused:
        simulation.run()

    assert [(r.round, r.client, r.reason) for r in simulation.gates.refusals] == [
        (1, 0, Reason.APP_FAILED)
    ]
    assert "Meyer" not in f"{refused.value} {simulation.gates.refusals} {lines}"


def test_late_answers_of_a_round_that_timed_out_do_not_make_the_next_one_spin(
    new_town: NewTown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
        for seconds in (0.3, 60.0):
            messages = [Message(content(seconds), node, "train") for node in nodes]
            list(grid.send_and_receive(messages, timeout=seconds))
    """
    old = "    own = float("
    client = changed_client(tmp_path, old, f"    import time; time.sleep(0.5)\n{old}")
    town = new_town(members=3, parts=[client, own_loop(tmp_path, body)])
    looks: list[float] = []
    pull = InMemoryGrid.pull_messages

    def counted(grid: InMemoryGrid, ids: object) -> object:
        looks.append(time.monotonic())
        return pull(grid, ids)  # type: ignore[arg-type]

    monkeypatch.setattr(InMemoryGrid, "pull_messages", counted)

    done = town.simulation().run()

    assert [one.sent for one in done.rounds] == [3, 3]
    assert len(looks) < 25


def servers() -> list[threading.Thread]:
    """Return the threads of ServerApps that go on."""
    return [one for one in threading.enumerate() if "server_th" in one.name]


def test_a_client_app_that_cannot_be_loaded_leaves_no_server_waiting(
    new_town: NewTown, tmp_path: Path
) -> None:
    start = "from flwr.app import ArrayRecord"
    client = changed_client(tmp_path, start, f"import no_such_module\n{start}")
    town = new_town(members=2, parts=[client, parts()[1]])

    with pytest.raises(RunFailedError, match="no_such_module"):
        town.simulation().run()

    assert servers() == []


@pytest.mark.parametrize("governed", [True, False])
def test_an_engine_that_dies_in_a_round_leaves_no_server_waiting(
    new_town: NewTown, monkeypatch: pytest.MonkeyPatch, governed: bool
) -> None:
    town = new_town(members=2)
    left = threading.Event()
    die_after(left, monkeypatch)

    with pytest.raises(RunFailedError):
        if governed:
            town.simulation(sent=lambda _: left.set()).run()
        else:
            town.bare(sent=lambda _: left.set())

    assert servers() == []


def test_a_server_that_does_not_mind_that_its_engine_is_dead_keeps_no_process_alive(
    new_town: NewTown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = tmp_path / "over"
    body = f"""
        grid.push_messages([Message(content(1), node, "train") for node in nodes])
        from pathlib import Path
        while not Path({str(over)!r}).exists():
            try:
                grid.get_node_ids()
            except Exception:
                pass
            time.sleep(0.05)
    """
    town = new_town(members=2, parts=[parts()[0], own_loop(tmp_path, body)])
    monkeypatch.setattr("fl_edge.simulation.surroundings.LEAVING", 0.2)
    left = threading.Event()
    die_after(left, monkeypatch)

    with pytest.raises(RunFailedError):
        town.simulation(sent=lambda _: left.set()).run()

    found = servers()
    over.touch()
    assert [one.daemon for one in found] == [True]
    found[0].join(60)


def die_after(left: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the backend fail once a round has left."""

    def build(_backend: InlineBackend, _app: object) -> None:
        left.wait(60)
        raise RuntimeError("no backend")

    monkeypatch.setattr(InlineBackend, "build", build)

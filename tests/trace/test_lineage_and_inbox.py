"""Lineage both ways, what waits for an owner, and how it is shown."""

from rich.console import Console

from datatoken.roles import DataProvider
from datatoken.trace import GrantState, NoticeKind, downwards, inbox, upwards, usage
from datatoken.trace.render import lineage_tree, usage_tree
from datatoken.types import AssetKind
from tests.support.world import World, composed, leaf


def shown(renderable: object) -> str:
    console = Console(width=250, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(renderable)
    return console.export_text()


def test_lineage_downwards_and_upwards(world: World) -> None:
    # Prepare
    made = world.two_banks_of_users(2)
    made.grant(users=[0])
    # Execute
    down, up = downwards(world.site("x"), made.algorithm), upwards(world.site("x"), made.data[0])
    # Assert: what it is made of, with the grants as they stand
    composite = down.below[0]
    assert (down.dt, down.kind, composite.dt) == (
        made.algorithm,
        AssetKind.ALGORITHM,
        made.composite,
    )
    assert [node.dt for node in composite.below] == made.data
    states = [node.grant.state for node in composite.below if node.grant]
    assert states == [GrantState.ACTIVE, GrantState.MISSING]
    # What it went into, up to the job
    assert up.above[0].dt == made.composite
    assert up.above[0].above[0].dt == made.algorithm
    assert up.above[0].above[0].jobs == ()
    world.user(1).grant(made.data[1], made.composite)
    job = made.post()
    up = upwards(world.site("x"), made.data[0])
    assert up.above[0].above[0].jobs == (job,)
    assert made.data[1] in shown(lineage_tree(down)) and job in shown(lineage_tree(up))


def test_inbox_shows_who_asks_and_what_runs(world: World) -> None:
    """Acceptance: 42, 77, 78"""
    # Prepare
    user = world.role(DataProvider, world.chain.account(enrol=True))
    edge = world.operation()
    data = user.publish(leaf(edge)).dt
    owner = world.role(DataProvider, world.chain.a)
    composite = owner.publish(composed([data], [{"0": edge, "self": world.operation("server")}])).dt
    site = world.site("x")
    # Execute, Assert: asked
    (asked,) = inbox(site, user.address)
    assert (asked.kind, asked.dt, asked.subject) == (NoticeKind.GRANT_ASKED, data, composite)
    assert (asked.by.name, asked.detail, asked.state) == ("Institution A", "research", "missing")
    # Granted: nothing waits
    user.grant(data, composite)
    assert inbox(site, user.address) == []
    assert [n.state for n in inbox(site, user.address, everything=True)] == ["active"]
    # Posted and announced
    from datatoken.roles import AlgorithmProvider

    provider = world.role(AlgorithmProvider, world.chain.b)
    algorithm = provider.publish(composed([composite], [{"0": "self"}], type="algorithm")).dt
    owner.grant(composite, algorithm)
    job = world.b.post_job(world.b.create_task(f"Inbox {data}"), algorithm)
    request = provider.sign_request(job, "0x" + "11" * 32, {})
    assert [n.kind for n in inbox(site, user.address)] == [NoticeKind.JOB_POSTED]
    owner.announce(job, request)
    posted, announced = inbox(site, user.address)
    assert (posted.subject, posted.by.name) == (job, "Institution B")
    assert (announced.kind, announced.subject) == (NoticeKind.JOB_ANNOUNCED, job)
    assert (announced.by.name, announced.detail) == ("Institution A", request.digest())
    # Closed: nothing waits any more
    world.b.close_job(job)
    assert inbox(site, user.address) == []
    assert len(inbox(site, user.address, everything=True)) == 3


def test_names_from_strangers_cannot_write_on_the_terminal(world: World) -> None:
    # Prepare: a name with an escape sequence, markup and a mark that turns text around
    edge = world.operation()
    evil = "\x1b[2J[red]safe\u202egrant"
    data = world.user(0).publish(leaf(edge, name=evil)).dt
    algorithm = world.role(DataProvider, world.chain.a).publish(
        composed([data], [{"0": edge}], name=evil)
    )
    # Execute
    site = world.site("x")
    text = shown(usage_tree(data, evil, usage(site, data))) + shown(
        lineage_tree(downwards(site, algorithm.dt))
    )
    # Assert
    assert "\x1b[2J" not in text and "\u202e" not in text
    assert "[red]safe\\u202egrant" in text
    assert "no job has used it" in text


def test_usage_as_a_tree_says_how_and_by_whom(world: World) -> None:
    """Acceptance: 50"""
    made = world.two_banks_of_users(1)
    made.grant()
    job = made.post()
    text = shown(usage_tree(made.data[0], "ECG", usage(world.site("x"), made.data[0])))
    for part in (job, made.algorithm, "Institution B", "purpose: research", "rounds logged: 0"):
        assert part in text
    assert "granted: active" in text

"""``datatoken trace`` and ``inbox``: what happened to one's assets, and what is waiting."""

from typing import Annotated

import typer

from datatoken.cli.arguments import Dt
from datatoken.cli.output import row, table
from datatoken.cli.session import Session
from datatoken.text import show_moment
from datatoken.trace.inbox import inbox as read_inbox
from datatoken.trace.lineage import downwards, upwards
from datatoken.trace.render import lineage_tree, show_party, usage_tree
from datatoken.trace.usage import name_of, usage


def trace(
    dt: Dt,
    up: Annotated[bool, typer.Option("--up", help="What the DT went into, instead.")] = False,
    down: Annotated[bool, typer.Option("--down", help="What it is made of, instead.")] = False,
) -> None:
    """Show every job that a DT has authorised, level by level: how, by whom, which rounds.

    Anybody who knows the chain and the store can ask; no key is needed.

    **Examples**

        datatoken trace 0xMINE…

        datatoken trace 0xALGORITHM… --down
    """
    session = Session.current()
    site = session.site
    if up and down:
        raise typer.BadParameter("Give --up or --down, not both.")
    if up or down:
        node = upwards(site, dt) if up else downwards(site, dt)
        session.output.result(node, lineage_tree(node))
        return
    found = usage(site, dt)
    session.output.result({"dt": dt, "uses": found}, usage_tree(dt, name_of(site, dt), found))


def inbox(
    account: Annotated[
        str | None, typer.Option(help="Whose inbox (address or name); default the keystore's.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Also what needs no attention any more.")
    ] = False,
) -> None:
    """Show what waits for an owner: parents that ask for a grant, jobs posted and announced.

    **Examples**

        datatoken inbox --account user-1

        datatoken inbox --all --format json --keystore user-1
    """
    session = Session.current()
    name = account or session.settings.keystore
    if name is None:
        raise typer.BadParameter("Give --account or --keystore.")
    notices = read_inbox(session.site, session.account(name), everything=all_)
    shown = table("what", "state", "about DT", "parent or job", "by", "detail", "when")
    for notice in notices:
        by, when = show_party(notice.by), show_moment(notice.time)
        row(
            shown,
            notice.kind.value,
            notice.state,
            notice.dt,
            notice.subject,
            by,
            notice.detail,
            when,
        )
    session.output.result(notices, shown if notices else "Nothing is waiting.")

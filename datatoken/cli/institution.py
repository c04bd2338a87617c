"""``datatoken institution`` and ``datatoken user``: who may take part."""

from typing import Annotated

import typer

from datatoken.chain.events import InstitutionAdded, UserEnrolled
from datatoken.cli.output import facts, row, table
from datatoken.cli.session import Command, Session
from datatoken.roles.administrator import Administrator
from datatoken.roles.institution import Institution
from datatoken.types import ZERO_ADDRESS

app = typer.Typer(help="Registered institutions.", no_args_is_help=True)
user_app = typer.Typer(help="Users that an institution enrols.", no_args_is_help=True)
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Address, or a keystore's name.")]
Accounts = Annotated[
    list[str], typer.Argument(metavar="ACCOUNT...", help="Addresses, or keystores' names.")
]


@app.command(cls=Command)
def add(
    account: Account, name: Annotated[str, typer.Argument(help="Its registered name.")]
) -> None:
    """Register an institution (administrator only). Repeating is safe.

    **Example**

        datatoken institution add a "Hospital A" --keystore administrator
    """
    session = Session.current()
    address = session.account(account)
    with session.output.progress("Registering …"):
        added = session.role(Administrator).add_institution(address, name)
    text = f"{name} is registered with {address}." if added else f"{name} was registered already."
    session.output.result({"account": address, "name": name, "added": added}, text)


@app.command(cls=Command)
def remove(account: Account) -> None:
    """Remove an institution, and with it the standing of its users (administrator only).

    **Example**

        datatoken institution remove a --keystore administrator
    """
    session = Session.current()
    address = session.account(account)
    with session.output.progress("Removing …"):
        removed = session.role(Administrator).remove_institution(address)
    text = f"{address} is removed." if removed else f"{address} was removed already."
    session.output.result({"account": address, "removed": removed}, text)


@app.command(cls=Command)
def show(account: Account) -> None:
    """Show an institution's name and standing.

    **Example**

        datatoken institution show a --format json
    """
    session = Session.current()
    address = session.account(account)
    name, active = session.site.reader.institution(address)
    found = {"account": address, "name": name, "active": active}
    session.output.result(found, facts(found))


@app.command("list", cls=Command)
def list_institutions() -> None:
    """List all institutions that were ever registered.

    **Example**

        datatoken institution list
    """
    session = Session.current()
    events = session.site.events.history(InstitutionAdded)
    accounts = dict.fromkeys(e.account for e in events if isinstance(e, InstitutionAdded))
    found = []
    shown = table("name", "account", "active")
    for account in accounts:
        name, active = session.site.reader.institution(account)
        found.append({"account": account, "name": name, "active": active})
        row(shown, name, account, active)
    session.output.result(found, shown)


@user_app.command("add", cls=Command)
def add_users(accounts: Accounts) -> None:
    """Enrol users of the acting institution, so that they may publish. Repeating is safe.

    **Example**

        datatoken user add user-1 user-2 --keystore a
    """
    session = Session.current()
    addresses = [session.account(account) for account in accounts]
    with session.output.progress("Enrolling …"):
        new = session.role(Institution).enrol_users(addresses)
    session.output.result(
        {"users": addresses, "enrolled": new},
        f"{len(new)} enrolled, {len(set(addresses)) - len(new)} before.",
    )


@user_app.command("remove", cls=Command)
def remove_users(accounts: Accounts) -> None:
    """Remove own users: nothing of theirs runs any more. Repeating is safe.

    **Example**

        datatoken user remove user-1 --keystore a
    """
    session = Session.current()
    addresses = [session.account(account) for account in accounts]
    with session.output.progress("Removing …"):
        gone = session.role(Institution).remove_users(addresses)
    session.output.result({"users": addresses, "removed": gone}, f"{len(gone)} removed.")


@user_app.command("show", cls=Command)
def show_user(account: Account) -> None:
    """Show who enrolled a user, and whether it may take part.

    **Example**

        datatoken user show user-1
    """
    session = Session.current()
    address = session.account(account)
    enroller = session.site.contracts.institutions.enroller(address)
    found = {
        "account": address,
        "institution": None if enroller == ZERO_ADDRESS else enroller,
        "name": session.site.name_of(address),
        "participant": session.site.reader.is_participant(address),
    }
    session.output.result(found, facts(found))


@user_app.command("list", cls=Command)
def list_users(
    institution: Annotated[
        str | None, typer.Option(help="Users of this institution only (address or name).")
    ] = None,
) -> None:
    """List the enrolled users.

    **Example**

        datatoken user list --institution a
    """
    session = Session.current()
    chosen = session.account(institution) if institution else None
    events = session.site.events.history(UserEnrolled)
    users = dict.fromkeys(e.user for e in events if isinstance(e, UserEnrolled))
    found = []
    shown = table("account", "institution", "participant")
    for user in users:
        enroller = session.site.contracts.institutions.enroller(user)
        if enroller == ZERO_ADDRESS or chosen not in (None, enroller):
            continue
        participant = session.site.reader.is_participant(user)
        found.append({"account": user, "institution": enroller, "participant": participant})
        row(shown, user, session.site.name_of(enroller), participant)
    session.output.result(found, shown)

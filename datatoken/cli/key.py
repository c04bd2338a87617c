"""``datatoken key``: keystore files."""

from typing import Annotated

import typer

from datatoken.chain.signer import SCRYPT_WORK, Signer
from datatoken.cli.output import row, table
from datatoken.cli.session import Command, Session, keystore_address
from datatoken.cli.stack import fund as fund_account
from datatoken.errors import KeystoreError

app = typer.Typer(help="Create and list the keystore files of accounts.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name in the folder's keys, or a path.")]


@app.command(cls=Command)
def create(
    name: Name,
    light: Annotated[
        bool, typer.Option("--light", help="Quick to open, weak against guessing: for trying out.")
    ] = False,
) -> None:
    """Create an account and its keystore file.

    The password comes from `--password-file` or a prompt, never from the command line.

    **Example**

        datatoken key create hospital --password-file secret.txt
    """
    session = Session.current()
    path = session.settings.keystore_file(name)
    if path.exists():
        raise KeystoreError(f"The keystore {path} exists and is not replaced.", "Choose a name.")
    password = session.password(path, confirm=True)
    signer = Signer.create(path, password, work=2**12 if light else SCRYPT_WORK)
    session.output.result(
        {"address": signer.address, "keystore": str(path)}, f"{signer.address}  {path}"
    )


@app.command("list", cls=Command)
def list_keys() -> None:
    """List the keystores in the state folder.

    **Example**

        datatoken key list --format json
    """
    session = Session.current()
    found = {
        path.stem: address
        for path in sorted(session.settings.keys.glob("*.json"))
        if (address := keystore_address(path)) is not None
    }
    shown = table("name", "address")
    for name, address in found.items():
        row(shown, name, address)
    session.output.result(found, shown)


@app.command(cls=Command)
def address(name: Name) -> None:
    """Print the address of a keystore; no password is needed.

    **Example**

        datatoken key address user-1
    """
    session = Session.current()
    found = session.account(name)
    session.output.result({"address": found}, found)


@app.command(cls=Command)
def fund(name: Name) -> None:
    """Fill an account on a local chain with coins for transactions.

    **Example**

        datatoken key fund hospital
    """
    session = Session.current()
    account = session.account(name)
    done = fund_account(session.site.rpc.urls[0], account)
    session.output.result(
        {"address": account, "funded": done},
        f"{account} was filled." if done else f"{account} has enough already.",
    )

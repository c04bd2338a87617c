"""``datatoken key``: keystore files."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from datatoken.chain.signer import SCRYPT_WORK, Signer
from datatoken.cli.output import row, table
from datatoken.cli.session import Command, Session, ask_password, keystore_address
from datatoken.cli.stack import fund as fund_account
from datatoken.errors import KeystoreError, LocalEnvironmentError
from datatoken.passwords import read_password

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


@app.command("password", cls=Command)
def change_password(
    name: Name,
    new: Annotated[
        Path | None, typer.Option("--new-password-file", help="File with the new password.")
    ] = None,
) -> None:
    """Change the password of a keystore; the account stays the same.

    A key that others may know is changed otherwise: a node's by delegating to a new one
    (`datatoken delegate`), an owner's by minting DTs anew under a new account.

    The file `keys/password` of a state folder is for all keystores beside it, and is left as it
    is. A keystore that has a password of its own needs `--password-file` in every command.

    **Example**

        datatoken key password hospital --password-file old.txt --new-password-file new.txt
    """
    session = Session.current()
    named = session.settings.keystore_file(name)
    path = named.resolve()  # a link stays one, and no file with the old password is left
    shared = session.settings.keys / "password"
    beside = shared.is_file() and path.parent == shared.parent.resolve()
    if beside and session.settings.password_file is None:
        raise KeystoreError(
            f"{shared} is for all keystores beside it, and would not open {path.name} any more.",
            f"Give --password-file {shared}, and with every later command the new password's file.",
        )
    signer = Signer.from_keystore(path, session.password(path))
    if new is None and not sys.stdin.isatty():
        raise KeystoreError("There is no terminal to ask on.", "Give --new-password-file.")
    password = read_password(new) if new else ask_password(f"New password of {path}")
    _replace(path, signer, password)
    found = {"address": signer.address, "keystore": str(path)}
    lines = [f"{signer.address}  {path}"]
    if beside and read_password(shared) != password:
        found["note"] = (
            f"{shared} holds another password: give --password-file with every command that acts "
            f"as {name}, or write the new password there if no keystore beside it needs the old."
        )
        lines.append(found["note"])
    session.output.result(found, *lines)


def _replace(path: Path, signer: Signer, password: str) -> None:
    """Put a new keystore in an old one's place: on disk before anybody is told."""
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.unlink(missing_ok=True)  # of a change that was cut off
        signer.save(fresh, password)
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise LocalEnvironmentError(
            f"The keystore {path} cannot be written: {error.strerror}."
        ) from error


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

"""What a command needs: settings, output, the site, the account. And the options for them."""

import getpass
import json
import os
import sys
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import click
import typer
from typer.core import TyperCommand, TyperOption

from datatoken.chain.deployment import Deployment
from datatoken.chain.signer import Signer
from datatoken.cli.output import Output
from datatoken.cli.settings import Format, Settings, load_settings
from datatoken.errors import BadInputError, KeystoreError
from datatoken.passwords import read_password
from datatoken.roles.account import Account
from datatoken.roles.site import Site
from datatoken.types import Address

RoleT = TypeVar("RoleT", bound=Account)

FLAGS = "datatoken.flags"
PANEL = "Settings"
_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    ("folder", click.Path(path_type=Path), "State folder (.datatoken)."),
    ("deployment", click.Path(path_type=Path), "Deployment file (deployment.json there)."),
    ("rpc", str, "Endpoint of the chain, or several with commas, instead of the file's."),
    ("quorum", click.IntRange(1, 16), "Endpoints that have to agree (more than half)."),
    ("store", str, "Folder or URL of the store (store in the state folder)."),
    ("keystore", str, "Keystore file, or its name in the folder's keys."),
    ("password-file", click.Path(path_type=Path), "File with the keystore's password."),
    ("config", click.Path(path_type=Path), "Settings file (datatoken.toml)."),
)


class Command(TyperCommand):
    """A command with the options that all commands share, in a panel of their own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["params"] = [*(kwargs.get("params") or []), *_shared_options()]
        super().__init__(*args, **kwargs)


def _shared_options() -> list[click.Parameter]:
    options: list[click.Parameter] = [
        TyperOption(
            param_decls=[f"--{name}"],
            type=kind,
            help=f"{text} [env: DATATOKEN_{name.replace('-', '_').upper()}]",
            expose_value=False,
            callback=_keep,
            rich_help_panel=PANEL,
        )
        for name, kind, text in _OPTIONS
    ]
    options.append(
        TyperOption(
            param_decls=["--format"],
            type=click.Choice([kind.value for kind in Format]),
            help="How the result is printed: default or json.",
            expose_value=False,
            callback=_keep,
            rich_help_panel=PANEL,
        )
    )
    return options


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    context.meta.setdefault(FLAGS, {})[str(parameter.name)] = value
    return value


class Session:
    """One run of a command."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.output = Output(settings.format)

    @classmethod
    def current(cls) -> Self:
        """Return the session of the command that is running.

        Raises
        ------
        BadInputError
            When a setting is wrong.
        """
        flags = dict(click.get_current_context().meta.get(FLAGS, {}))
        config = flags.pop("config", None)
        return cls(load_settings(flags, config or _config_variable()))

    @cached_property
    def deployment(self) -> Deployment:
        """The deployment in force, with the endpoints and the quorum that were given."""
        found = Deployment.load(self.settings.deployment_file)
        if self.settings.rpc is not None:
            found = found.model_copy(update={"rpc_urls": self.endpoints, "quorum": None})
        if self.settings.quorum is not None:
            found = found.model_copy(update={"quorum": self.settings.quorum})
        return found

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints that were given, without the deployment file."""
        return tuple(url.strip() for url in (self.settings.rpc or "").split(",") if url.strip())

    @cached_property
    def site(self) -> Site:
        """Chain, store and state folder; the chain id is compared first.

        Raises
        ------
        WrongChainError, ChainUnreachableError
        """
        site = Site.open(self.deployment, self.settings.store_address, self.settings.folder)
        click.get_current_context().call_on_close(site.close)
        site.deployment.verify(site.rpc)
        return site

    @cached_property
    def signer(self) -> Signer:
        """The account that acts: keystore and password from the settings.

        Raises
        ------
        KeystoreError
            When none is named, or it cannot be opened.
        """
        name = self.settings.keystore
        if name is None:
            raise KeystoreError(
                "No keystore is named.",
                "Give --keystore NAME or PATH, or set DATATOKEN_KEYSTORE; "
                "`datatoken key list` shows the names.",
            )
        path = self.settings.keystore_file(name)
        if not path.is_file():
            raise KeystoreError(
                f"There is no keystore {path}.",
                "Create one: datatoken key create NAME; or give another path.",
            )
        return Signer.from_keystore(path, self.password(path))

    def role(self, kind: type[RoleT]) -> RoleT:
        """Return the acting account in a role."""
        made = kind(self.site, self.signer)
        click.get_current_context().call_on_close(made.close)
        return made

    def password(self, keystore: Path, *, confirm: bool = False) -> str:
        """Return a keystore's password from a file or a prompt, never from a command line.

        The file ``password`` in the folder's keys is for the keystores beside it.

        Raises
        ------
        KeystoreError
            When the file cannot be read, or there is nobody to ask.
        """
        path = self.settings.password_file
        default = self.settings.keys / "password"
        beside = keystore.resolve().parent == self.settings.keys.resolve()
        if path is None and beside and default.is_file():
            path = default
        if path is not None:
            return read_password(path)
        if not sys.stdin.isatty():
            raise KeystoreError(
                f"There is no password for {keystore}, and no terminal to ask on.",
                "Give --password-file, or set DATATOKEN_PASSWORD_FILE.",
            )
        return ask_password(f"Password of {keystore}", confirm=confirm)

    def account(self, text: str) -> Address:
        """Return the account that an address or a keystore's name stands for.

        Raises
        ------
        BadInputError
            When it is neither.
        """
        lowered = text.lower()
        if len(lowered) == 42 and lowered.startswith("0x"):
            try:
                int(lowered, 16)
            except ValueError:
                pass
            else:
                return lowered
        found = keystore_address(self.settings.keystore_file(text))
        if found is None:
            raise BadInputError(
                f"{text!r} is neither an address nor a keystore in {self.settings.keys}.",
                "Give 0x and 40 hex digits, or a name that `datatoken key list` shows.",
            )
        return found

    def confirm(self, question: str) -> bool:
        """Ask a human; no terminal means no."""
        if not sys.stdin.isatty():
            return False
        return typer.confirm(question, err=True)


def keystore_address(path: Path) -> Address | None:
    """Return the address that a keystore file names, or None when it is none."""
    try:
        address = json.loads(path.read_text(encoding="utf-8"))["address"]
        found = "0x" + str(address).lower().removeprefix("0x")
        return found if len(bytes.fromhex(found[2:])) == 20 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _config_variable() -> Path | None:
    named = os.environ.get("DATATOKEN_CONFIG")
    return Path(named) if named else None


def ask_password(question: str, *, confirm: bool = True) -> str:
    """Ask a human for a password, twice where it is a new one.

    Raises
    ------
    KeystoreError
        When the two differ.
    """
    password = getpass.getpass(f"{question}: ", sys.stderr)
    if confirm and getpass.getpass("The same again: ", sys.stderr) != password:
        raise KeystoreError("The two passwords differ.", "Try again.")
    return password

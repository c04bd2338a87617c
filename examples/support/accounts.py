"""Accounts of the demo: one folder each, with a keystore, a password file and its own state."""

from dataclasses import dataclass
from pathlib import Path

from datatoken.chain.signer import Signer

LIGHT_WORK = 2**12
"""scrypt's N for keys that live as long as the demo; real ones take the default."""


@dataclass(frozen=True)
class Account:
    """A key and the folder of whoever holds it."""

    name: str
    folder: Path
    signer: Signer

    @property
    def address(self) -> str:
        """The account."""
        return self.signer.address

    @property
    def keystore(self) -> Path:
        """The keystore file."""
        return self.folder / "key.json"

    @property
    def password_file(self) -> Path:
        """The file that holds its password."""
        return self.folder / "password"


def create_account(folder: Path, name: str) -> Account:
    """Create a key in ``<folder>/<name>``; nobody else can read it."""
    home = folder / name
    home.mkdir(parents=True, mode=0o700)
    password = Signer.random().address[2:]
    (home / "password").touch(mode=0o600)
    (home / "password").write_text(password + "\n", encoding="utf-8")
    signer = Signer.create(home / "key.json", password, work=LIGHT_WORK)
    return Account(name, home, signer)

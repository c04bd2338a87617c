"""What the settings files of all asset services have in common: TOML, nothing secret in it.

Paths are relative to the file's own folder. Each engine adds how its assets are named.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from datatoken.chain.signer import Signer
from datatoken.errors import BadInputError
from datatoken.passwords import read_password
from datatoken.service.assets.models import Count, PolicyMode
from datatoken.service.assets.policy import Policy
from datatoken.types import Address, Model, Seconds

MAX_SETTINGS_BYTES = 64 * 1024
MAX_PASSWORD_BYTES = 4096


class PolicySettings(Model):
    """How requests for grants are answered; an asset's own values replace the service's.

    Attributes
    ----------
    mode : {"auto", "queue", "refuse"}
    expiry : int
        Seconds that a grant by `auto` lasts; 0: without end.
    max_rounds : int
        Messages of each kind that it allows; 0: without limit.
    requesters : list of Address
        Whom `auto` answers; empty: anybody within the terms.
    """

    mode: PolicyMode | None = None
    expiry: Seconds | None = None
    max_rounds: Count | None = None
    requesters: list[Address] | None = None

    def policy(self, default: "PolicySettings") -> Policy:
        """Return the policy, with what is left out from a default."""
        own = set(PolicySettings.model_fields)
        merged = default.model_dump(exclude_none=True)
        merged |= self.model_dump(include=own, exclude_none=True)
        requesters = frozenset(merged.pop("requesters", ()))
        return Policy(**merged, requesters=requesters)


class OwnerKey(Model):
    """The owner's key, for grants by `auto` and approvals over HTTP."""

    key: str
    password_file: str


class CommonSettings(Model):
    """What every asset service is started with."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 9443
    state: str = "service"
    certificate: str | None = None
    key: str | None = None
    insecure: bool = False
    policy: PolicySettings = PolicySettings()

    @model_validator(mode="after")
    def _tls(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key are given together, or not at all")
        if self.insecure and self.certificate is not None:
            raise ValueError("insecure and a certificate exclude each other")
        return self


def at(folder: Path, name: str) -> Path:
    """Return a path of a settings file in `folder`."""
    return folder / Path(name).expanduser()


def owner_signer(
    key: OwnerKey | None, folder: Path, *, automatic: bool, stand_in: bool
) -> Signer | None:
    """Return the owner's key, where the settings in `folder` name it.

    Raises
    ------
    BadInputError
        When a policy is `auto` and no key is named.
    KeystoreError
    """
    if key is None:
        if automatic:
            raise BadInputError(
                "The policy is auto, and the settings name no owner's key.",
                "Add [owner] with key and password_file, or choose the mode queue.",
            )
        return None
    password = read_password(at(folder, key.password_file))
    return Signer.from_keystore(at(folder, key.key), password, stand_in=stand_in)


def load_toml(path: Path, name: str) -> dict[str, Any]:
    """Read a settings file; `name` is what such a file is called.

    Raises
    ------
    BadInputError
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SETTINGS_BYTES)
        return tomllib.loads(content.decode())
    except OSError as error:
        raise BadInputError(
            f"The settings {path} can't be read: {error.strerror}.", f"Name a {name}: --config."
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInputError(f"The settings {path} are not TOML: {error}.") from None

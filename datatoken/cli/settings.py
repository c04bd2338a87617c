"""Settings: flag > environment (``DATATOKEN_…``) > TOML file > default."""

import os
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from datatoken.errors import BadInputError

CONFIG = "datatoken.toml"
DEFAULT_FOLDER = Path(".datatoken")


class Format(StrEnum):
    """How a command prints its result."""

    DEFAULT = "default"
    JSON = "json"


class Settings(BaseSettings):
    """Settings that all commands share.

    Attributes
    ----------
    folder : Path
        State folder: journals, keys, the local stack.
    deployment : Path, optional
        Deployment file; by default ``deployment.json`` in the folder.
    rpc : str, optional
        Endpoint of the chain, instead of those in the deployment file; several with commas.
    quorum : int, optional
        How many endpoints have to agree, instead of what the deployment file says.
    store : str, optional
        Folder or URL of the store; by default ``store`` in the folder.
    keystore : str, optional
        Keystore file, or the name of one in the folder's ``keys``.
    password_file : Path, optional
        File whose first line is the keystore's password; by default the file ``password``
        beside a keystore in the folder's ``keys``, else a prompt.
    """

    model_config = SettingsConfigDict(env_prefix="DATATOKEN_", extra="forbid", frozen=True)

    folder: Path = DEFAULT_FOLDER
    deployment: Path | None = None
    rpc: str | None = None
    quorum: int | None = None
    store: str | None = None
    keystore: str | None = None
    password_file: Path | None = None
    format: Format = Format.DEFAULT

    @property
    def keys(self) -> Path:
        """Folder of the keystore files."""
        return self.folder / "keys"

    @property
    def deployment_file(self) -> Path:
        """The deployment file in force."""
        return self.deployment or self.folder / "deployment.json"

    @property
    def store_address(self) -> str:
        """The store in force."""
        return self.store or str(self.folder / "store")

    def keystore_file(self, name: str) -> Path:
        """Return the path of a keystore that is given by name or by path."""
        if os.sep in name or name.endswith(".json"):
            return Path(name)
        return self.keys / f"{name}.json"


def load_settings(flags: Mapping[str, Any], config: Path | None = None) -> Settings:
    """Return the settings in force.

    Parameters
    ----------
    flags : mapping
        What was given on the command line; None means not given.
    config : Path, optional
        TOML file; by default ``datatoken.toml`` here or in the state folder.

    Raises
    ------
    BadInputError
        When the file cannot be read, or a value or name in it is wrong.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    path = config or _default_config(given)
    if config is not None and not config.is_file():
        raise BadInputError(f"The settings file {config} cannot be read.", "Check its path.")
    try:
        return _class_reading(path)(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        known = ", ".join(Settings.model_fields)
        raise BadInputError(
            f"The setting {name} is not valid: {first['msg']}.", f"Settings are: {known}."
        ) from None
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"The settings file {path} cannot be read: {error}.") from None


def _default_config(flags: Mapping[str, Any]) -> Path | None:
    folder = flags.get("folder") or os.environ.get("DATATOKEN_FOLDER") or DEFAULT_FOLDER
    for path in (Path(CONFIG), Path(folder) / CONFIG):
        if path.is_file():
            return path
    return None


def _class_reading(path: Path | None) -> type[Settings]:
    """Return the settings class with this very file as the source after the environment."""

    class Reading(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            sources = (init_settings, env_settings)
            if path is None:
                return sources
            return (*sources, TomlConfigSettingsSource(settings_cls, toml_file=path))

    return Reading

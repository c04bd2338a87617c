"""Settings of one party: a TOML file for one asset (DT).

Paths are relative to the file's own folder. Nothing secret stands in it: keys are in
keystore files, passwords in files of their own.
"""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from datatoken.ddo.canonical import validate
from datatoken.passwords import read_password
from datatoken.service.assets.settings import load_toml
from datatoken.types import Hex32, Model
from rtt_tracer.agreement.introductions import Host

Port = Annotated[int, Field(ge=1, le=65535)]
Span = Annotated[float, Field(gt=0, le=7 * 86_400)]

DEFAULT_SPU = ".engines/spu/bin/python"
DEFAULT_ROSETTA = ".engines/rosetta/bin/python"


class NodeSettings(Model):
    """The node key that signs receipts and introductions, and the owner's word for it."""

    key: str
    password_file: str
    delegation: str


class NetworkSettings(Model):
    """Where peers reach this party.

    Attributes
    ----------
    host : str
        An IPv4 address that peers can reach (Rosetta knows no names).
    ports : (first, last), optional
        Range to take ports from; by default any free one.
    """

    host: Host = "127.0.0.1"
    ports: tuple[Port, Port] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.host in ("0.0.0.0", "::"):  # noqa: S104 - refused here
            raise ValueError("host: peers can't reach that; name this machine's own address")
        if self.ports is not None and self.ports[0] > self.ports[1]:
            raise ValueError("ports: the first one is above the last one")
        return self


class EngineSettings(Model):
    """Interpreters of the engines' own environments (`make spu`, `make rosetta`).

    Attributes
    ----------
    allow_unconfined : bool
        Whether Rosetta may run where the platform can't keep it off the network.
    """

    spu: str = DEFAULT_SPU
    rosetta: str = DEFAULT_ROSETTA
    local: str | None = None
    allow_unconfined: bool = False


class TableSettings(Model):
    """The owner's rows.

    Attributes
    ----------
    source : str
        CSV or Parquet file, or an SQLAlchemy URL.
    key : str
        Column that identifies a row.
    table, query : str, optional
        What to read of a database; one of the two.
    keep_ids : str, optional
        File of the ids that take part, one a line: the result of an intersection.
    """

    source: str
    key: str
    table: str | None = None
    query: str | None = None
    keep_ids: str | None = None


class LimitSettings(Model):
    """What an engine's process may use."""

    memory_mb: Annotated[int, Field(ge=64)] = 8192
    cpu_seconds: Annotated[int, Field(ge=1)] = 86_400
    file_mb: Annotated[int, Field(ge=1)] = 4096
    files: Annotated[int, Field(ge=32)] = 1024
    processes: Annotated[int, Field(ge=16)] = 4096


class DeadlineSettings(Model):
    """Seconds after which a party gives up, and says so.

    Attributes
    ----------
    peers : float
        For all parties to introduce themselves and to agree.
    start : float
        For engines to be ready and shares to arrive, once all have agreed.
    progress : float
        Longest silence of the own engine while it runs.
    stage : float
        For one stage, with its signatures and the wait for the recorder's log.
    run : float
        For the whole run.
    lease : float
        How old a permission may be when a stage starts, and for how long chain, store or
        recorder may be out of reach while one runs.
    recheck : float
        Between two looks at the chain while a stage runs.
    """

    peers: Span = 60.0
    start: Span = 120.0
    progress: Span = 300.0
    stage: Span = 600.0
    run: Span = 86_400.0
    lease: Span = 30.0
    recheck: Span = 5.0


class PartySettings(Model):
    """What ``rtt-tracer party`` is started with."""

    dt: Hex32
    deployment: str
    store: str
    state: str
    node: NodeSettings
    network: NetworkSettings = NetworkSettings()
    engines: EngineSettings = EngineSettings()
    table: TableSettings | None = None
    limits: LimitSettings = LimitSettings()
    deadlines: DeadlineSettings = DeadlineSettings()

    def password(self) -> str:
        """Return the password of the node key.

        Raises
        ------
        KeystoreError
        """
        return read_password(Path(self.node.password_file))


def load_party(path: Path) -> PartySettings:
    """Read a party's settings; return them with absolute paths.

    Raises
    ------
    BadInputError
        With the first thing that is wrong.
    """
    plain = load_toml(path, "party.toml")
    settings = validate(PartySettings, plain, f"settings file {path.name}")
    return _absolute(settings, path.resolve().parent)


def _absolute(settings: PartySettings, folder: Path) -> PartySettings:
    def at(name: str) -> str:
        return str(folder / Path(name).expanduser())

    def where(name: str) -> str:
        return name if "://" in name or "+" in name.partition(":")[0] else at(name)

    node, engines, table = settings.node, settings.engines, settings.table
    update: dict[str, Any] = {
        "deployment": at(settings.deployment),
        "store": where(settings.store),
        "state": at(settings.state),
        "node": NodeSettings(
            key=at(node.key),
            password_file=at(node.password_file),
            delegation=at(node.delegation),
        ),
        "engines": engines.model_copy(
            update={
                "spu": at(engines.spu),
                "rosetta": at(engines.rosetta),
                "local": at(engines.local) if engines.local else None,
            }
        ),
    }
    if table is not None:
        files = {"source": where(table.source)}
        if table.keep_ids is not None:
            files["keep_ids"] = at(table.keep_ids)
        update["table"] = table.model_copy(update=files)
    return settings.model_copy(update=update)

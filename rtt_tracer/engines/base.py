"""What every engine is to a party's supervisor.

The supervisor agrees with its peers first, prepares a work folder, asks the engine how to
start its process there, and then talks to that process over two pipes (`EngineEvent`,
`rtt_tracer.engines.events`). An engine decides nothing: it neither authorises nor signs.

Work folder of one party and run:

    bundle/            the registered operation's files, unpacked
    in/table.npz       the owner's rows as named columns (roles that read rows)
    in/shares/<name>   shares that input parties sent to this rank (`spu.compute`)
    tls/               this run's link key, certificate and the peers' certificates
    out/to-<rank>/     shares for each rank (`spu.share`), nothing else
    out/results/       what the operation gives: its own output shares, or opened values
    tmp/               HOME and TMPDIR of the process
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from datatoken.types import Hex32, Scalar


class Role(StrEnum):
    """What a party's process does; the key in `OperationDocument.entry_points`."""

    SPU_SHARE = "spu.share"
    """Reads rows in the private domain and turns them into one share for each rank."""
    SPU_COMPUTE = "spu.compute"
    """Computes on shares in the federated domain; never sees rows."""
    SPU_INTERSECT = "spu.intersect"
    """Private set intersection: reads rows in the private domain and talks to its peer."""
    ROSETTA = "rosetta"
    """A Rosetta party: reads its own rows, so it runs in the private domain."""
    LOCAL = "local"
    """Computes on its owner's rows alone."""

    @property
    def engine(self) -> str:
        """Name of the engine."""
        return self.value.partition(".")[0]

    @property
    def linked(self) -> bool:
        """Whether the process talks to its peers, and so has a rank."""
        return self in (Role.SPU_COMPUTE, Role.SPU_INTERSECT, Role.ROSETTA)

    @property
    def private(self) -> bool:
        """Whether the process reads its owner's rows (it must run in the private domain)."""
        return self is not Role.SPU_COMPUTE

    @property
    def alone(self) -> bool:
        """Whether the process reads rows and talks to nobody: its words stay with its owner."""
        return self.private and not self.linked


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One linked party: where its link listens, and its certificate of this run (PEM)."""

    rank: int
    host: str
    port: int
    certificate: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Return host:port."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class EngineJob:
    """One party's part of a run, after all parties have agreed.

    Attributes
    ----------
    agreed : Hex32
        The agreed hash; engines put it into their own preflight and link id.
    entry_point : str
        ``module:attribute`` or a script, inside ``bundle/``.
    rank : int or None
        Among the linked parties; None for `spu.share` and `local`.
    parties : tuple of Endpoint
        The linked parties by rank.
    protocol : str
        Such as ABY3, SECURENN, CHEETAH, SEMI2K or SecureNN (Rosetta).
    parameters : mapping
        The effective run configuration.
    column_owner : int or None
        Index among the input parties (order of the algorithm's children), for roles that
        read rows: operations address inputs by it (`x0`, `x1`, …).
    inputs : int
        How many input parties there are.
    rows : int
        Rows of every input table, agreed.
    shapes : tuple of (int, ...)
        Columns that each input party gives after encoding; agreed (from introductions).
    progress_seconds : float
        Longest silence; the engine's own network time-outs stay below it.
    start_seconds : float
        For the engine to be ready; a link whose peers do not come says so well before.
    """

    folder: Path
    agreed: Hex32
    role: Role
    entry_point: str
    rank: int | None
    parties: tuple[Endpoint, ...]
    protocol: str
    parameters: Mapping[str, Scalar]
    column_owner: int | None = None
    inputs: int = 0
    rows: int = 0
    shapes: tuple[tuple[int, ...], ...] = ()
    progress_seconds: float = 120.0
    start_seconds: float = 120.0


@dataclass(frozen=True)
class Launch:
    """How the process is started.

    Attributes
    ----------
    argv : tuple of str
        Absolute program first.
    environment : mapping
        The whole environment of the process: nothing is inherited.
    readable : tuple of Path
        What the process must read beside its work folder (interpreter, libraries).
    bind, connect : tuple of int
        TCP ports that it may listen on and connect to; both empty: no network at all.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    readable: tuple[Path, ...] = ()
    bind: tuple[int, ...] = ()
    connect: tuple[int, ...] = ()


class Engine(Protocol):
    """One engine: SPU, Rosetta, or the owner's own interpreter."""

    name: str

    def missing(self) -> str | None:
        """Return why the engine can't run here and what to do, or None when it can."""
        ...

    def version(self) -> str:
        """Return the engine's version, such as ``spu 0.9.5``: part of what is agreed."""
        ...

    def installed(self) -> Mapping[str, str]:
        """Return distribution → version in the engine's environment, for operation locks."""
        ...

    def prepare(self, job: EngineJob) -> AbstractContextManager[Launch]:
        """Write the engine's files into the work folder; start what it needs beside itself.

        Leaving the context ends everything that was started (tunnels, relays).

        Raises
        ------
        DataTokenError
            LocalEnvironmentError, BadInputError.
        """
        ...

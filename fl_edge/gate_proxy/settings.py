"""Settings of a gate proxy."""

from dataclasses import dataclass
from pathlib import Path

from fl_edge.supernode.settings import Settings as GateSettings


@dataclass(frozen=True)
class Settings(GateSettings):
    """What ``fl-edge gate-proxy`` is started with; see its ``--help``.

    Attributes
    ----------
    auth_key : Path, optional
        Key by which the SuperLink knows this node; without one the node registers itself.
    certificate, key : Path, optional
        TLS towards the SuperNode (PEM).
    supernode_key : Path, optional
        Public key of the only SuperNode that is served.
    app_home : Path, optional
        FLWR_HOME of the SuperNode, where this account may empty its folder of apps.
    """

    auth_key: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    supernode_key: Path | None = None
    app_home: Path | None = None

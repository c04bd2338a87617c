"""Settings of a SuperNode."""

from dataclasses import dataclass, field
from pathlib import Path

from datatoken.types import Hex32


@dataclass(frozen=True)
class Settings:
    """What ``fl-edge supernode`` is started with; see its ``--help``.

    Attributes
    ----------
    password : str
        Of the node key's keystore; never shown.
    metrics_port : int, optional
        Where metrics and health are served; left out: nowhere. 0 takes a free one.
    extra : tuple of str
        Further arguments for flwr's own SuperNode.
    """

    superlink: str
    dt: Hex32
    deployment: Path
    store: str
    state: Path
    node_key: Path
    delegation: Path
    password: str = field(repr=False)
    insecure: bool = False
    root_certificates: Path | None = None
    node_config: str | None = None
    isolation: str = "subprocess"
    host: str = "127.0.0.1"
    port: int = 0
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    pass_env: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    def flwr_arguments(self, port: int) -> list[str]:
        """Return the command line of flwr's own SuperNode."""
        found = ["--superlink", self.superlink, "--isolation", self.isolation]
        found += ["--host", self.host, "--port", str(port)]
        if self.insecure:
            found.append("--insecure")
        if self.root_certificates is not None:
            found += ["--root-certificates", str(self.root_certificates)]
        if self.node_config is not None:
            found += ["--node-config", self.node_config]
        return [*found, *self.extra]

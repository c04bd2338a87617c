"""Settings of a SuperLink."""

from dataclasses import dataclass, field
from pathlib import Path

from datatoken.types import Hex32


@dataclass(frozen=True)
class Settings:
    """What ``fl-edge superlink`` is started with; see its ``--help``.

    Attributes
    ----------
    dt : Hex32
        The composite (else the algorithm) whose `self` operation runs here.
    keystore : Path
        The owner's key, or a node key with a `delegation`: it names rounds to the recorder
        and reads its log; it sends no transaction.
    password : str
        Of the keystore; never shown.
    metrics_port : int, optional
        Where metrics and health are served; left out: nowhere. 0 takes a free one.
    extra : tuple of str
        Further arguments for flwr's own SuperLink.
    """

    dt: Hex32
    deployment: Path
    store: str
    state: Path
    keystore: Path
    password: str = field(repr=False)
    delegation: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    insecure: bool = False
    ssl_ca_certfile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    pass_env: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    def flwr_arguments(self) -> list[str]:
        """Return the command line of flwr's own SuperLink."""
        found = ["--host", self.host, "--port", str(self.port)]
        found += ["--disable-runtime-dependency-installation"]
        if self.insecure:
            found.append("--insecure")
        for name in ("ssl_ca_certfile", "ssl_certfile", "ssl_keyfile"):
            if (path := getattr(self, name)) is not None:
                found += [f"--{name.replace('_', '-')}", str(path)]
        return [*found, *self.extra]

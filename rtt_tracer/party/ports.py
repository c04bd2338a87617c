"""Free ports of this host, held until whoever needs them takes over."""

import socket
from types import TracebackType
from typing import Self

from datatoken.errors import LocalEnvironmentError


class HeldPort:
    """A port that nobody else gets before `release`; it does not listen."""

    def __init__(self, host: str, ports: tuple[int, int] | None) -> None:
        self._socket, self.port = _bind(host, ports)

    def release(self) -> int:
        """Let go of the port, right before its user binds it."""
        self._socket.close()
        return self.port

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the port."""
        self._socket.close()


def _bind(host: str, ports: tuple[int, int] | None) -> tuple[socket.socket, int]:
    choices = range(1) if ports is None else range(ports[0], ports[1] + 1)
    why = "none is free"
    for port in choices:
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            found.bind((host, port))
        except OSError as error:
            found.close()
            why = error.strerror or str(error)
            continue
        return found, int(found.getsockname()[1])
    raise LocalEnvironmentError(
        f"No port of {host} can be used: {why}.",
        "Set [network] host and ports in the party's settings.",
    )

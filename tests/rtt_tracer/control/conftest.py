"""Parties with real channels: real gRPC, real TLS, ports of the system."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from datatoken.types import Hex32
from rtt_tracer.agreement.introductions import Contact, SignedIntroduction
from rtt_tracer.control.channel import ControlChannel
from rtt_tracer.control.wire import CLIENT_OPTIONS, method, target
from tests.support.mpc import MpcWorld

WORLD = MpcWorld()
PLAN = WORLD.plan()


class Parties:
    """The channels of the two banks' four DTs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.dts = folder, WORLD.dts
        self.channels: dict[Hex32, ControlChannel] = {}
        self.ports: dict[Hex32, int] = {}
        self._contacts: dict[Hex32, Contact] = {}

    def start(self, dt: Hex32, **options: Any) -> ControlChannel:
        """Start a party's channel."""
        certificate, key = WORLD.certificates[dt]
        given = {"shares": self.folder / dt, "senders": self.dts[:2], "grace": 1.0} | options
        channel = ControlChannel(dt, certificate, key, **given)
        self.ports[dt] = channel.start()
        self.channels[dt] = channel
        return channel

    def introductions(self) -> dict[Hex32, SignedIntroduction]:
        """Return everybody's; who has not started names a port where nobody listens."""
        for dt in self.dts:
            if dt not in self._contacts:
                port = self.ports.get(dt) or 1
                self._contacts[dt] = WORLD.contact(WORLD.certificates[dt][0], port)
        return {dt: WORLD.introduce(PLAN, dt, control=self._contacts[dt]) for dt in self.dts}

    def meet(self, *dts: Hex32) -> None:
        """Make some parties meet the others."""
        found = self.introductions()
        for dt in dts or self.channels:
            self.channels[dt].meet(found)

    def raw(
        self, to: Hex32, certificate: str | None, key: str | None, server: str | None = None
    ) -> Any:
        """Return a bare gRPC channel to a party, with any certificate or none."""
        root = server or WORLD.certificates[to][0]
        credentials = grpc.ssl_channel_credentials(
            root.encode(),
            key.encode() if key else None,
            certificate.encode() if certificate else None,
        )
        return grpc.secure_channel(
            target("127.0.0.1", self.ports[to]), credentials, [*CLIENT_OPTIONS]
        )

    def stop(self) -> None:
        for channel in self.channels.values():
            channel.stop()


@pytest.fixture
def new_parties(tmp_path: Path) -> Iterator[Callable[[], Parties]]:
    """Make parties that have not started."""
    made: list[Parties] = []

    def make() -> Parties:
        made.append(Parties(tmp_path / f"run-{len(made)}"))
        return made[-1]

    yield make
    for parties in made:
        parties.stop()


@pytest.fixture
def parties(new_parties: Callable[[], Parties]) -> Parties:
    """Four parties that have met."""
    made = new_parties()
    for dt in made.dts:
        made.start(dt)
    made.meet()
    return made


def call(channel: Any, name: str, content: bytes, timeout: float = 5.0) -> bytes:
    """Make a bare unary call."""
    return bytes(channel.unary_unary(method(name))(content, timeout=timeout))


def code_of(channel: Any, name: str, content: bytes, timeout: float = 5.0) -> grpc.StatusCode:
    """Return the status of a bare call that fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, name, content, timeout)
    return caught.value.code()

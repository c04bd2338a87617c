"""TLS in front of a WSGI server, which listens on a socket file that only its account may use.

waitress reads requests without a thread for each connection, so that slow clients cost
little; it has no TLS. This front adds it, and limits: a handshake, a silence and a connection
may last so long, and an address may hold so many connections (ADR 0017).
"""

import asyncio
import contextlib
import datetime
import ipaddress
import os
import socket
import ssl
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from datatoken.errors import BadInputError, LocalEnvironmentError

CHUNK = 64 * 1024
LINGER = 2.0
"""Seconds for a client to finish sending, once it has been answered."""

SELF_SIGNED_DAYS = 825


@dataclass(frozen=True, slots=True)
class FrontLimits:
    """Seconds for a handshake, a silence, a connection; connections of one address and of all."""

    handshake: float = 10.0
    silence: float = 60.0
    connection: float = 900.0
    each: int = 64
    all: int = 512


class TlsFront:
    """Ends TLS and passes bytes on to a socket file.

    Parameters
    ----------
    host, port : str, int
        Where clients connect; port 0 takes a free one.
    upstream : Path
        The WSGI server's socket file.
    certificate, key : Path
        PEM files: the chain of certificates, and its key.
    limits : FrontLimits

    Raises
    ------
    BadInputError
        When certificate and key are none, or not of each other.
    """

    def __init__(
        self,
        host: str,
        port: int,
        upstream: Path,
        certificate: Path,
        key: Path,
        limits: FrontLimits | None = None,
    ) -> None:
        self._host, self._port, self._upstream = host, port, upstream
        self._context = _context(certificate, key)
        self._limits = limits or FrontLimits()
        self._open: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="tls", daemon=True)

    def start(self) -> int:
        """Listen; return the port. Raises OSError when it can't be had."""
        self._thread.start()
        try:
            self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)
        except BaseException:
            self.stop()
            raise
        return int(self._server.sockets[0].getsockname()[1])

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(
            self._serve,
            self._host,
            self._port,
            ssl=self._context,
            ssl_handshake_timeout=self._limits.handshake,
            ssl_shutdown_timeout=self._limits.handshake,
            limit=CHUNK,
            backlog=256,
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = str((writer.get_extra_info("peername") or ("",))[0])
        limits = self._limits
        if self._open[address] >= limits.each or self._open.total() >= limits.all:
            writer.transport.abort()
            return
        self._open[address] += 1
        try:
            async with asyncio.timeout(limits.connection):
                await self._pass(reader, writer)
        except (OSError, TimeoutError, ssl.SSLError):
            pass
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as server:
            server.setblocking(False)
            await loop.sock_connect(server, str(self._upstream))
            line = _Line(server, loop)
            forth = asyncio.create_task(line.forth(reader))
            back = asyncio.create_task(line.back(writer))
            silence = asyncio.create_task(line.silent(self._limits.silence))
            tasks = [forth, back, silence]
            try:
                # When the server has said its last, or the client is gone, nothing is left.
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if back.done() and not back.exception():
                    # A client that is still sending reads its answer only when it is done, and
                    # would lose it if its bytes were left unread.
                    await asyncio.wait([forth], timeout=LINGER)
                    await _close(writer)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """Close all connections and end the thread."""

        async def ending() -> None:
            if self._server is not None:
                self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        if self._thread.is_alive():
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(ending(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
        if not self._loop.is_running():
            self._loop.close()


class _Line:
    """Bytes both ways, and when the last ones went.

    The server's side is a plain socket: when the server has answered and closed before it was
    sent everything, its answer can still be read there.
    """

    def __init__(self, server: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._server, self._loop = server, loop
        self._last = loop.time()

    async def forth(self, reader: asyncio.StreamReader) -> None:
        """Pass on what the client sends; what the server no longer takes is dropped."""
        taken = True
        while content := await reader.read(CHUNK):
            self._last = self._loop.time()
            if taken:
                try:
                    await self._loop.sock_sendall(self._server, content)
                except OSError:
                    taken = False

    async def back(self, writer: asyncio.StreamWriter) -> None:
        """Pass on what the server answers, until it closes."""
        with contextlib.suppress(ConnectionResetError):  # it closed before it was sent all
            while content := await self._loop.sock_recv(self._server, CHUNK):
                writer.write(content)
                await writer.drain()
                self._last = self._loop.time()

    async def silent(self, limit: float) -> None:
        """Return when nothing has gone either way for `limit` seconds."""
        while (left := self._last + limit - self._loop.time()) > 0:
            await asyncio.sleep(left)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, TimeoutError, ssl.SSLError):
        async with asyncio.timeout(5):
            await writer.wait_closed()


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise BadInputError(
            f"Certificate {certificate} and key {key} can't be used: {error}.",
            "Give two PEM files that belong together, the key without a password.",
        ) from None
    return context


def _no_password() -> str:
    raise ValueError("the key has a password")


def self_signed(folder: Path, host: str) -> tuple[Path, Path]:
    """Return certificate and key of a service without any from an authority.

    They are made once; clients take the certificate as the only one that they trust.

    Parameters
    ----------
    folder : Path
        Where they are kept.
    host : str
        Name or address that the certificate is for, beside the local ones.

    Raises
    ------
    LocalEnvironmentError
        When the folder is not writable.
    """
    certificate, key = folder / "tls.pem", folder / "tls.key"
    if certificate.is_file() and key.is_file():
        return certificate, key
    secret = ec.generate_private_key(ec.SECP256R1())
    made = _certificate(secret, host)
    content = secret.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    except OSError as error:
        raise LocalEnvironmentError(
            f"The certificate {certificate} can't be written: {error.strerror}."
        ) from None
    return certificate, key


def _certificate(secret: ec.EllipticCurvePrivateKey, host: str) -> x509.Certificate:
    serial = x509.random_serial_number()
    # A name of its own: a client that trusts several services looks their certificates up by it.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, host[:64]),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, f"{serial:x}"),
        ]
    )
    names = [_general(one) for one in dict.fromkeys([host, "localhost", "127.0.0.1"])]
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(serial)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .sign(secret, hashes.SHA256())
    )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)

"""The two ends of a control connection: methods, limits and gRPC's options."""

from dataclasses import dataclass
from pathlib import Path

from rtt_tracer.agreement.introductions import Contact
from rtt_tracer.control.certificates import SERVER_NAME

SERVICE = "rtt_tracer.Control"
SAY, SHARE, WATCH = "Say", "Share", "Watch"

CHUNK_BYTES = 256 * 1024
MAX_FRAME_BYTES = 1024 * 1024
MAX_INBOX = 4096
MAX_CALLS = 128
MAX_STREAMS = 4
"""Shares of one peer that may be on their way at once."""
MAX_SHARES = 256
"""Files that one peer may send."""
MAX_SHARE_BYTES = 4 * 1024**3
"""Of all files of one peer together."""
MAX_CALL_SECONDS = 3600.0
RETRY_SECONDS = 0.2
HANDSHAKE_MS = 10_000
PING_MS = 10_000

_FRAMES = [
    ("grpc.max_receive_message_length", MAX_FRAME_BYTES),
    ("grpc.max_send_message_length", MAX_FRAME_BYTES),
    ("grpc.max_metadata_size", 16 * 1024),
]
SERVER_OPTIONS = [
    *_FRAMES,
    ("grpc.so_reuseport", 0),  # gRPC lets two servers bind one port otherwise
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),  # a silent stray goes soon
    ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_MS // 2),
    ("grpc.http2.max_ping_strikes", 0),
]
CLIENT_OPTIONS = [
    *_FRAMES,
    ("grpc.ssl_target_name_override", SERVER_NAME),
    ("grpc.enable_http_proxy", 0),  # a proxy of the environment is no peer
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", PING_MS),
    ("grpc.keepalive_timeout_ms", PING_MS),
    ("grpc.http2.max_pings_without_data", 0),
]


def method(name: str) -> str:
    """Return a method's full name."""
    return f"/{SERVICE}/{name}"


def target(host: str, port: int) -> str:
    """Return the address as gRPC takes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def target_of(contact: Contact) -> str:
    """Return the address of a contact."""
    return target(contact.host, contact.port)


@dataclass(frozen=True, slots=True)
class ShareReceived:
    """A file that a peer has sent, whole and with the digest that it named."""

    name: str
    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Gone:
    """A peer's connection has ended, and neither `Final` nor `Stop` came before."""

    sentence: str

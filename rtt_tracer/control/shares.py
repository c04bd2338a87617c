"""Shares on their way in: each sender has a folder, a budget, and one try for a name."""

import hashlib
import os
import threading
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import grpc

from datatoken.ddo.canonical import parse_document
from datatoken.errors import BadInputError
from datatoken.types import Hex32
from rtt_tracer.control.messages import ShareHead
from rtt_tracer.control.wire import MAX_SHARE_BYTES, MAX_SHARES, MAX_STREAMS, ShareReceived

_MAX_HEAD = 1024
_PART = ".part"


class ShareError(Exception):
    """A share that is not taken; nothing of it stays.

    Parameters
    ----------
    status : grpc.StatusCode
    """

    def __init__(self, status: "grpc.StatusCode", sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class ShareFolder:
    """Puts received shares into ``<folder>/<sender's dt>/<name>``. Thread-safe.

    Parameters
    ----------
    folder : Path
    senders : collection of Hex32
        The parties that may send any.
    most_bytes : int
        Of all shares of one sender together.
    """

    def __init__(
        self, folder: Path, senders: Collection[Hex32], *, most_bytes: int = MAX_SHARE_BYTES
    ) -> None:
        self._folder, self._senders = folder, frozenset(senders)
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._taken: dict[tuple[Hex32, str], ShareReceived] = {}
        self._open: dict[tuple[Hex32, str], int] = {}

    def take(self, dt: Hex32, parts: Iterator[bytes]) -> tuple[ShareReceived, bool]:
        """Write a stream to its file; return it, and whether it is new.

        Raises
        ------
        ShareError
        """
        head = self._head(dt, parts)
        known = self._reserve(dt, head)
        if known is not None:
            return known, False
        path = self._folder / dt / head.name
        part = path.with_name(path.name + _PART)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(part, head, parts)
            part.replace(path)
        except OSError as error:
            raise ShareError(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"it can't be written: {error.strerror}"
            ) from None
        except Exception as error:  # what the stream raises when the sender goes away
            if isinstance(error, ShareError):
                raise
            raise ShareError(grpc.StatusCode.ABORTED, "the stream ended early") from None
        finally:
            with suppress(OSError):
                part.unlink()
            with self._lock:
                self._open.pop((dt, head.name), None)
        received = ShareReceived(head.name, path, head.size, head.sha256)
        with self._lock:
            self._taken[(dt, head.name)] = received
        return received, True

    def _head(self, dt: Hex32, parts: Iterator[bytes]) -> ShareHead:
        if dt not in self._senders:
            raise ShareError(grpc.StatusCode.PERMISSION_DENIED, "this party sends no shares")
        try:
            head = parse_document(ShareHead, next(parts, b""), "share's head", _MAX_HEAD)
        except BadInputError as error:
            raise ShareError(grpc.StatusCode.INVALID_ARGUMENT, error.message[:200]) from None
        if head.name.endswith(_PART):
            raise ShareError(grpc.StatusCode.INVALID_ARGUMENT, "its name is taken")
        return head

    def _reserve(self, dt: Hex32, head: ShareHead) -> ShareReceived | None:
        """Return the equal share that is there already, or reserve room for a new one."""
        key = (dt, head.name)
        with self._lock:
            if (known := self._taken.get(key)) is not None:
                if (known.size, known.sha256) == (head.size, head.sha256):
                    return known
                raise ShareError(grpc.StatusCode.ALREADY_EXISTS, "another share has its name")
            coming = [size for (sender, _), size in self._open.items() if sender == dt]
            if key in self._open or len(coming) >= MAX_STREAMS:
                raise ShareError(grpc.StatusCode.ABORTED, "too much is on its way already")
            own = [one.size for (sender, _), one in self._taken.items() if sender == dt] + coming
            if len(own) >= MAX_SHARES or sum(own) + head.size > self._most_bytes:
                raise ShareError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED, "the sender's shares are too large"
                )
            self._open[key] = head.size
        return None


def _write(part: Path, head: ShareHead, parts: Iterator[bytes]) -> None:
    """Write the parts and hold size and digest against the head."""
    digest, size = hashlib.sha256(), 0
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        for chunk in parts:
            size += len(chunk)
            if size > head.size:
                raise ShareError(grpc.StatusCode.INVALID_ARGUMENT, "it is larger than it says")
            digest.update(chunk)
            file.write(chunk)
    if size != head.size:
        raise ShareError(grpc.StatusCode.INVALID_ARGUMENT, "it is smaller than it says")
    if "0x" + digest.hexdigest() != head.sha256:
        raise ShareError(grpc.StatusCode.INVALID_ARGUMENT, "it has another digest than it says")

"""What every service's process needs: one process a state folder, JSON logs, a clean end."""

import contextlib
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import structlog

from datatoken.errors import LocalEnvironmentError


def configure_logging(**facts: str) -> None:
    """Write JSON lines to stderr: time, level, event and its fields; never a request's body.

    Parameters
    ----------
    **facts : str
        What stands in every line, whatever thread writes it.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            always(**facts),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def always(**facts: str) -> structlog.types.Processor:
    """Return what adds these facts to every line; a line's own words go before them."""

    def add(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        return {**facts, **event}

    return add


@contextlib.contextmanager
def alone(state: Path, name: str) -> Iterator[None]:
    """Hold the lock of a state folder: two processes on one would do everything twice.

    Parameters
    ----------
    name : str
        Of the service: ``recorder``.

    Raises
    ------
    LocalEnvironmentError
        When the folder is not writable, or another process holds the lock.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        handle = os.open(state / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LocalEnvironmentError(
            f"The state folder {state} can't be used: {error.strerror}.",
            "Give a folder that this account may write to.",
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise LocalEnvironmentError(
            f"Another {name} uses the state folder {state}.",
            "Stop it, or give this one a folder of its own.",
        ) from None
    try:
        yield
    finally:
        os.close(handle)


def cannot_listen(name: str, host: str, port: int, error: Exception) -> LocalEnvironmentError:
    """Return the error of a port that can't be had."""
    return LocalEnvironmentError(
        f"The {name} can't listen on {host}:{port}: {getattr(error, 'strerror', None) or error}.",
        "Choose another port, or stop the program that uses it.",
    )


def end_on_sigterm() -> None:
    """Let SIGTERM end the process as `sys.exit` does, with exit code 0."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)

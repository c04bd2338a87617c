"""Lines from a process that is not trusted: bounded, and junk ends the conversation."""

from datatoken.errors import BadInputError
from rtt_tracer.engines.events import MAX_LINE


class Lines:
    """Cuts a stream of bytes into lines of at most `limit` bytes."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes; return the lines that they complete.

        Raises
        ------
        BadInputError
            When a line is longer than the limit.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if any(len(line) > self._limit for line in (*lines, self._rest)):
            self._rest = b""
            raise BadInputError(f"A line has more than {self._limit} bytes.")
        return [line for line in lines if line.strip()]

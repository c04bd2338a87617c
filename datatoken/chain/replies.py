"""What an endpoint may answer: how much of it, in what shape, and what of it people read."""

import re
from typing import Any

from datatoken import strict_json
from datatoken.errors import ChainUnreachableError
from datatoken.text import clean, show_address

MAX_REPLY = 1024 * 1024
"""Bytes of an answer: a block's header with the hashes of all its transactions, and more."""
MAX_REPLIES = {
    # 1,000 records of a snapshot and as many operations: under 1 MB of hex.
    "eth_call": 2 * 1024 * 1024,
    # The logs of a full block of 100 million gas; windows of more blocks are halved.
    "eth_getLogs": 8 * 1024 * 1024,
}
MOST_SAID = 200
"""Characters of a node's own words that are shown."""
_MOST_DATA = 64 * 1024
_REVERT_CODE = 3
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,64}")


class RpcError(ChainUnreachableError):
    """An endpoint answered with an error instead of a result.

    Parameters
    ----------
    method : str
        JSON-RPC method that was called.
    number : int
        Error code of the reply.
    text : str
        Error message of the reply; kept up to `MOST_SAID` characters.
    data : str, optional
        Revert data, where the error is a revert; kept only where it is hex with 0x.
    """

    def __init__(self, method: str, number: int, text: str, data: str | None) -> None:
        self.number = number
        self.text = said(text)
        super().__init__(
            f"The chain's endpoint answered {method} with an error: {self.text} ({number}).",
            "Check the endpoint, and that the deployment file belongs to this chain.",
        )
        good = data is not None and len(data) <= _MOST_DATA and _DATA.fullmatch(data)
        self.data = data if good else None

    @property
    def reverted(self) -> bool:
        """Tell whether a contract reverted the call."""
        return self.number == _REVERT_CODE or "revert" in self.text.lower()


class ReplyLimitError(ChainUnreachableError):
    """A reply was too large or too slow: a smaller question may be answered."""


def limit_of(method: str) -> int:
    """Return how many bytes an answer to `method` may have."""
    return MAX_REPLIES.get(method, MAX_REPLY)


def result_of(method: str, number: int, content: bytes) -> Any:
    """Return the result that a reply carries.

    Raises
    ------
    RpcError
        When it carries an error.
    ValueError
        When it is no reply to request `number`.
    """
    if strict_json.is_crowded(content):
        raise ValueError("the reply has too many values")
    reply = strict_json.loads(content)
    if not isinstance(reply, dict) or reply.get("id") != number:
        raise ValueError("the reply belongs to another request")
    error = reply.get("error")
    if error is not None:
        raise _error(method, error)
    if "result" not in reply:
        raise ValueError("the reply has no result")
    return reply["result"]


def _error(method: str, error: Any) -> RpcError:
    if not isinstance(error, dict):
        return RpcError(method, 0, "", None)
    data = error.get("data")
    if isinstance(data, dict):  # some nodes wrap the revert data once more
        data = data.get("data")
    number, text = error.get("code"), error.get("message", "")
    return RpcError(
        method,
        number if isinstance(number, int) and abs(number) < 2**63 else 0,
        text if isinstance(text, str) else "",
        data if isinstance(data, str) else None,
    )


def number_of(method: str, answer: Any) -> int:
    """Return the number, of at most 32 bytes, that an answer is; raise `ChainUnreachableError`."""
    if not isinstance(answer, str) or not _NUMBER.fullmatch(answer):
        raise ChainUnreachableError(
            f"The chain's endpoint answered {method} with something else than a number."
        )
    return int(answer, 16)


def bytes_of(method: str, answer: Any) -> bytes:
    """Return the bytes that an answer is in hex; raise `ChainUnreachableError`."""
    if not isinstance(answer, str) or not _DATA.fullmatch(answer):
        raise ChainUnreachableError(
            f"The chain's endpoint answered {method} with something else than hex."
        )
    return bytes.fromhex(answer[2:])


def said(text: str) -> str:
    """Return a stranger's words as people may read them: one line, short, nothing hidden."""
    short = " ".join(clean(text[: 4 * MOST_SAID]).split())
    return short if len(short) <= MOST_SAID else short[: MOST_SAID - 1] + "…"


def shown(url: str) -> str:
    """Return scheme, host and port of an endpoint: the rest of its address may be a secret."""
    return said(show_address(url)) if "://" in url else "an address that is none"

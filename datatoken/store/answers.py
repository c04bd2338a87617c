"""What the answers of a Kubo RPC API mean; shared by both clients, no I/O."""

from typing import Any

from datatoken import strict_json
from datatoken.errors import StoreError
from datatoken.store.cid import cid_of
from datatoken.types import Hex32

MAX_ANSWER = 64 * 1024


def late() -> StoreError:
    """Return the error of a node that did not answer before the deadline."""
    return StoreError("The IPFS node did not answer in time.", "Try again, or use another store.")


def refused(command: str, status: int, answer: bytes) -> StoreError:
    """Return the error of a command that the node did not carry out."""
    if status == 500:  # how Kubo says that a command failed
        return StoreError(f"The IPFS node refused {command}: {_message(answer)}.")
    return StoreError(
        f"The IPFS node answered {command} with HTTP status {status}.",
        "Give the address of a Kubo RPC API, without a path.",
    )


def json_lines(answer: bytes) -> list[dict[str, Any]]:
    """Return the objects of an answer of JSON lines.

    Raises
    ------
    StoreError
        When it is not JSON, or nested too deeply to be read safely.
    """
    try:
        found = [strict_json.loads(line) for line in answer.splitlines() if line.strip()]
    except ValueError:
        raise StoreError("The IPFS node's answer is not JSON.") from None
    return [line for line in found if isinstance(line, dict)]


def check_import(lines: list[dict[str, Any]], digest: Hex32) -> None:
    """Check that an answer of `dag/import` confirms one root, the block that was sent.

    Raises
    ------
    StoreError
        When it names another root, or says that pinning failed.
    """
    roots = [line["Root"] for line in lines if isinstance(line.get("Root"), dict)]
    if [root.get("Cid") for root in roots] != [{"/": cid_of(digest)}]:
        raise StoreError("The IPFS node did not confirm the block that was sent.")
    if why := roots[0].get("PinErrorMsg"):
        raise StoreError(f"The IPFS node did not pin the block: {_printable(str(why))}.")


def _message(answer: bytes) -> str:
    try:
        lines = json_lines(answer) if answer.lstrip().startswith(b"{") else []
    except StoreError:
        lines = []
    return _printable(str(lines[0].get("Message", ""))) if lines else "no reason given"


def _printable(text: str) -> str:
    return "".join(c for c in text[:200] if c.isprintable()) or "no reason given"

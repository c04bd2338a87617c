"""What parties say to each other. Who says it follows from the certificate, never from it.

On the wire: ``{"number": 7, "<kind>": {…}}`` in canonical JSON. `number` counts a sender's
messages to one receiver, so that one that is sent again is taken once.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from datatoken.ddo.canonical import canonical_bytes, parse_document
from datatoken.rounds.receipts import SignedReceipt
from datatoken.types import Hex32, Model

MAX_MESSAGE_BYTES = 64 * 1024
Number = Annotated[int, Field(ge=0, lt=2**31)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
ShareName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}$")]


class Agree(Model):
    """The hash that the sender has come to; any difference stops before a share leaves."""

    agreed: Hex32


class Ready(Model):
    """The sender's engine is ready; linked parties only.

    Attributes
    ----------
    code : Hex32
        What the engines have held against each other: code, configuration, endpoints.
    """

    code: Hex32


class Commit(Model):
    """The sender's salted commitment to its shares at a checkpoint."""

    number: Number
    commitment: Hex32


class Sign(Model):
    """The sender's receipt of a checkpoint, over the common digest of all commitments."""

    number: Number
    receipt: SignedReceipt


class Final(Model):
    """The sender's engine has ended well.

    Attributes
    ----------
    digest : Hex32
        Of what is equal at all parties.
    checkpoints : int
        How many the sender has signed.
    """

    status: Literal["finished"] = "finished"
    digest: Hex32
    checkpoints: Number


class Stop(Model):
    """The sender ends the run.

    Attributes
    ----------
    reason : str
        A code of docs/reference/reasons.md.
    sentence : str
        One sentence; never a row, a share or a path.
    """

    reason: Code
    sentence: Annotated[str, StringConstraints(max_length=1000)] = ""


Message = Agree | Ready | Commit | Sign | Final | Stop


class Envelope(Model):
    """One message with its number; exactly one of the kinds is set."""

    number: Annotated[int, Field(ge=1, lt=2**53)]
    agree: Agree | None = None
    ready: Ready | None = None
    commit: Commit | None = None
    sign: Sign | None = None
    final: Final | None = None
    stop: Stop | None = None

    @model_validator(mode="after")
    def _one_message(self) -> Self:
        if len(self._set()) != 1:
            raise ValueError("an envelope holds one message")
        return self

    def _set(self) -> list[Message]:
        kinds = (self.agree, self.ready, self.commit, self.sign, self.final, self.stop)
        return [message for message in kinds if message is not None]

    @property
    def message(self) -> Message:
        """The message."""
        return self._set()[0]


class ShareHead(Model):
    """First part of a stream that carries a share; the bytes follow."""

    name: ShareName
    size: Annotated[int, Field(ge=0, lt=2**53)]
    sha256: Hex32


def pack(number: int, message: Message) -> bytes:
    """Return the bytes of a message."""
    kind = type(message).__name__.lower()
    return canonical_bytes(Envelope.model_validate({"number": number, kind: message}))


def unpack(content: bytes) -> tuple[int, Message]:
    """Parse a message and its number; raise `BadInputError`."""
    found = parse_document(Envelope, content, "control message", MAX_MESSAGE_BYTES)
    return found.number, found.message

"""Words that every part of the SDK shares: digests, addresses, scalars, kinds."""

import hashlib
from enum import IntEnum, StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Hex32 = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{64}$")]
"""32 bytes, lower-case hex with 0x: a DT, a digest, an operation or job id."""

Address = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{40}$")]
"""An account, lower-case hex with 0x (checksums are for people, bytes for hashing)."""

Scalar = bool | int | float | str
"""What a parameter may be. Order matters: pydantic's strict mode keeps bool from int."""

ZERO32 = "0x" + "0" * 64
ZERO_ADDRESS = "0x" + "0" * 40


class AssetKind(IntEnum):
    """Kind of a data token, as its on-chain record says it."""

    DATA = 1
    COMPUTE = 2
    ALGORITHM = 3


class OperationKind(IntEnum):
    """Where an operation runs, as its on-chain record says it."""

    CLIENT = 1
    SERVER = 2
    APP = 3
    MPC = 4


class MessageKind(StrEnum):
    """What a message asks of an asset; each kind has its own limit."""

    TRAIN = "train"
    EVALUATE = "evaluate"
    QUERY = "query"


class JobStatus(IntEnum):
    """Status of a job on the task market."""

    NONE = 0
    OPEN = 1
    PAUSED = 2
    CLOSED = 3


class Model(BaseModel):
    """Base of all documents: immutable, strict types, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Seconds = Annotated[int, Field(ge=0, lt=2**64)]
"""A moment (Unix time) or a span, in seconds."""


def sha256_hex(content: bytes) -> str:
    """Return the sha256 digest of `content` as a `Hex32`."""
    return "0x" + hashlib.sha256(content).hexdigest()

"""The document of an operation: what the code is, takes, answers and reveals.

Its sha256 is the `metadata` of the on-chain record, so none of this can change under a
registered id.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from datatoken.ddo.canonical import canonical_bytes, parse_document
from datatoken.ddo.terms import ParameterName, ParameterSpec
from datatoken.types import Address, Hex32, MessageKind, Model, OperationKind, sha256_hex

MAX_OPERATION_BYTES = 256 * 1024

OperationType = Literal["client", "server", "app", "mpc"]
ArrayRule = Literal["input", "none", "free"]
MetricName = Annotated[str, StringConstraints(pattern=r"^[\w.\-/]{1,64}$")]

OPERATION_KINDS: Mapping[OperationType, OperationKind] = {
    "client": OperationKind.CLIENT,
    "server": OperationKind.SERVER,
    "app": OperationKind.APP,
    "mpc": OperationKind.MPC,
}


class ReplyPolicy(Model):
    r"""What may leave the owner's side in a reply.

    Attributes
    ----------
    arrays : dict
        Message kind → ``input`` (names, dtypes and shapes of the input), ``none``, or
        ``free`` (any shape up to `max_bytes`, for operations such as boosted trees). A kind
        that is not named: ``input`` for train, ``none`` for evaluate and query.
    max_bytes : int
        Of all arrays together where the rule is ``free``.
    metrics : list of str, optional
        Names of metrics; None: any name of the form ``[\\w.-/]{1,64}``.
    max_scalars : int
        Of all metric values together; every one a finite number.
    config : dict of str to ParameterSpec
        Keys of a ConfigRecord in a reply; empty: no ConfigRecord leaves.
    """

    arrays: dict[MessageKind, ArrayRule] = {}
    max_bytes: int = Field(default=0, ge=0)
    metrics: list[MetricName] | None = None
    max_scalars: int = Field(default=16, ge=0, le=1024)
    config: dict[ParameterName, ParameterSpec] = {}

    def array_rule(self, kind: MessageKind) -> ArrayRule:
        """Return the rule for arrays in a reply to a message of `kind`."""
        return self.arrays.get(kind, "input" if kind is MessageKind.TRAIN else "none")


class Reveal(Model):
    """One thing that an operation reveals, and to whom."""

    what: str = Field(max_length=500)
    to: str = Field(max_length=200)


class OperationDocument(Model):
    """What the administrator registers beside the bundle's digest.

    Attributes
    ----------
    kind : {"client", "server", "app", "mpc"}
    entry_points : dict of str to str
        For Flower ``clientapp`` or ``serverapp`` (an app: both) → ``module:attribute``; for MPC
        one engine role (``spu.share``, ``spu.compute``, ``spu.intersect``, ``rosetta``,
        ``local``) → ``module:attribute`` or script.
    bundle : Hex32
        sha256 of the exact bundle bytes; `cid` is the same as a CID, `size` in bytes.
    parameters : dict
        Schema of the run configuration: keys that are not declared are refused.
    records : dict
        Schema of the configuration records inside messages, likewise.
    messages : list of {"train", "evaluate", "query"}
        The message kinds it answers.
    lock : dict of str to str
        Distribution → exact version that must be installed where it runs.
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    description: str = Field(default="", max_length=4096)
    kind: OperationType
    entry_points: dict[str, str]
    bundle: Hex32
    cid: str
    size: int = Field(ge=1)
    publisher: Address
    parameters: dict[ParameterName, ParameterSpec] = {}
    records: dict[ParameterName, ParameterSpec] = {}
    messages: list[MessageKind] = []
    replies: ReplyPolicy = ReplyPolicy()
    reveals: list[Reveal] = []
    lock: dict[str, str] = {}

    def digest(self) -> Hex32:
        """Return the sha256 of the document's JCS: `metadata` of the on-chain record."""
        return sha256_hex(canonical_bytes(self))


def parse_operation(content: bytes) -> OperationDocument:
    """Parse stored bytes; raise `BadInputError` unless canonical and valid."""
    return parse_document(OperationDocument, content, "operation document", MAX_OPERATION_BYTES)

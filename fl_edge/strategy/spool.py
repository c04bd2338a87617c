"""The folder between a ServerApp's process and the SuperLink: run terms in, claims out.

A ServerApp runs an operation's code, so its process holds no key and no endpoint. What it has to
say of a round (the aggregate's digest, who contributed) it writes into this folder; the SuperLink
reads it and signs it as what it is: the maker's claim.
"""

import io
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict
from pydantic import Field, StringConstraints

from datatoken import strict_json
from datatoken.ddo.canonical import canonical_bytes, parse_document
from datatoken.errors import BadInputError, LocalEnvironmentError
from datatoken.types import Hex32, MessageKind, Model
from fl_edge.messages.digest import model_digest

SPOOL_VARIABLE = "DATATOKEN_SPOOL"
"""Environment of the ServerApp's process: the folder."""

TERMS = "terms.json"
MAX_CLAIM_BYTES = 64 * 1024
RECORD = "arrays"

AggregateName = Annotated[str, StringConstraints(pattern=r"^aggregate-[0-9]{6}\.npz$")]


class AggregateFile(Model):
    """A saved aggregate: where it is, its digest (`model_digest`), the round that made it."""

    path: str
    digest: Hex32
    round: int = Field(ge=1)


class RunTerms(Model):
    """What the ServerApp's process has to know of its run.

    Attributes
    ----------
    minimum : int
        Members that have to contribute to a round.
    start : AggregateFile, optional
        The aggregate that the run goes on from.
    """

    job: Hex32
    minimum: int = Field(ge=0)
    start: AggregateFile | None = None


class Claim(Model):
    """What a ServerApp claims of one round.

    Attributes
    ----------
    expected : int
        Members that contributed.
    round : int
        The job's round as the server counts it, over resumed runs.
    aggregate : str, optional
        File in the run's folder with the aggregate; `digest` is its `model_digest`.
    """

    kind: MessageKind
    input: Hex32
    expected: int = Field(ge=1)
    sent: int = Field(ge=1)
    round: int = Field(ge=1, lt=1_000_000)
    aggregate: AggregateName | None = None
    digest: Hex32 | None = None


class Spool:
    """One run's folder.

    Parameters
    ----------
    folder : Path
        The spool of the SuperLink.
    run : int
    """

    def __init__(self, folder: Path, run: int) -> None:
        self.folder = folder / str(run)

    def put_terms(self, terms: RunTerms) -> None:
        """Write the run's terms (the SuperLink's side)."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(self.folder / TERMS, canonical_bytes(terms))
        except OSError as error:
            raise LocalEnvironmentError(
                f"The folder {self.folder} can't be written: {error.strerror}."
            ) from None

    def terms(self) -> RunTerms | None:
        """Return the run's terms, None while there are none."""
        try:
            content = (self.folder / TERMS).read_bytes()
        except FileNotFoundError:
            return None
        return parse_document(RunTerms, content, "run terms", MAX_CLAIM_BYTES)

    def put_claim(self, claim: Claim, arrays: ArrayRecord) -> None:
        """Write a claim and, with it, the aggregate (the ServerApp's side)."""
        name = f"aggregate-{claim.round:06}.npz"
        _write(self.folder / name, arrays_to_npz(arrays))
        claim = claim.model_copy(update={"aggregate": name, "digest": digest_of(arrays)})
        _write(self.folder / f"claim-{claim.round:06}.json", canonical_bytes(claim))

    def claims(self) -> list[tuple[Path, Claim]]:
        """Return the claims that wait, oldest first; one that is malformed is left out."""
        found = []
        for path in self._claims():
            try:
                content = path.read_bytes()
                found.append((path, parse_document(Claim, content, "claim", MAX_CLAIM_BYTES)))
            except (OSError, BadInputError):
                continue
        return found

    def _claims(self) -> list[Path]:
        return sorted(self.folder.glob("claim-[0-9]*.json"))


def digest_of(arrays: ArrayRecord) -> Hex32:
    """Return the canonical digest of a model, whatever the app calls its record."""
    return model_digest(RecordDict({RECORD: arrays}))


def arrays_to_npz(arrays: ArrayRecord) -> bytes:
    """Return an npz file of a model: arrays ``a0``, ``a1``, …, and their names as JSON."""
    buffer = io.BytesIO()
    names = np.frombuffer(json.dumps(list(arrays)).encode(), np.uint8)
    columns = {f"a{index}": array.numpy() for index, array in enumerate(arrays.values())}
    np.savez(buffer, allow_pickle=False, names=names, **columns)
    return buffer.getvalue()


def arrays_from_npz(content: bytes, digest: Hex32) -> ArrayRecord:
    """Read a model back and check its digest; raise `BadInputError`."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            names = strict_json.loads(file["names"].tobytes())
            arrays = ArrayRecord(
                {name: Array(file[f"a{index}"]) for index, name in enumerate(names)}
            )
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BadInputError(f"The saved aggregate can't be read: {error}.") from None
    if digest_of(arrays) != digest:
        raise BadInputError("The saved aggregate is not the one that was logged.")
    return arrays


def _write(path: Path, content: bytes) -> None:
    """Write a file that a reader sees complete or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)

"""The folder between a ServerApp and the SuperLink: what is in it is checked when it is read."""

from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord

from datatoken.errors import BadInputError
from datatoken.types import MessageKind, sha256_hex
from fl_edge.strategy import Claim, RunTerms, Spool
from fl_edge.strategy.spool import arrays_from_npz, arrays_to_npz, digest_of

JOB, INPUT = sha256_hex(b"job"), sha256_hex(b"input")


def arrays() -> ArrayRecord:
    return ArrayRecord([np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(1)])


def claim(number: int = 1) -> Claim:
    return Claim(kind=MessageKind.TRAIN, input=INPUT, expected=2, sent=3, round=number)


def test_aggregate_survives_the_way_through_a_file() -> None:
    content = arrays_to_npz(arrays())

    again = arrays_from_npz(content, digest_of(arrays()))

    assert list(again) == list(arrays())
    for ours, theirs in zip(again.to_numpy_ndarrays(), arrays().to_numpy_ndarrays(), strict=True):
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)


def test_swapped_aggregate_is_not_the_logged_one() -> None:
    other = arrays_to_npz(ArrayRecord([np.zeros((2, 3), np.float32), np.ones(1)]))

    with pytest.raises(BadInputError, match="not the one that was logged"):
        arrays_from_npz(other, digest_of(arrays()))


def test_pickle_in_an_aggregate_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "evil.npz"
    np.savez(path, names=np.array([{"code": 1}], dtype=object))

    with pytest.raises(BadInputError, match="can't be read"):
        arrays_from_npz(path.read_bytes(), INPUT)


def test_claims_come_back_in_order_with_their_digest(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 7)
    spool.put_terms(RunTerms(job=JOB, minimum=2))

    for number in (1, 2, 11):
        spool.put_claim(claim(number), arrays())

    found = spool.claims()
    assert [one.round for _, one in found] == [1, 2, 11]
    assert {one.digest for _, one in found} == {digest_of(arrays())}


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b'{"aggregate":"../../etc/passwd","round":1}', b"\xff"]
)
def test_malformed_claim_is_left_out(tmp_path: Path, content: bytes) -> None:
    spool = Spool(tmp_path, 7)
    spool.put_terms(RunTerms(job=JOB, minimum=2))
    (spool.folder / "claim-000001.json").write_bytes(content)
    spool.put_claim(claim(2), arrays())

    assert [one.round for _, one in spool.claims()] == [2]


def test_path_traversal_in_the_name_of_an_aggregate() -> None:
    with pytest.raises(ValueError, match="aggregate"):
        Claim.model_validate({**claim().model_dump(), "aggregate": "../../secret.npz"})

"""Signatures on receipts, delegations and acknowledgements: malformed ones prove nothing."""

import pytest

from datatoken.authorization.view import Network
from datatoken.chain.signer import Signer
from datatoken.rounds.receipts import (
    Acknowledgement,
    sign_digest,
)
from datatoken.signatures import recover_digest, recover_typed
from tests.support.chain import fresh
from tests.support.receipts import Node

NETWORK = Network(31337, *(f"0x{number:040x}" for number in range(1, 7)))
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = b"\x07" * 32
BAD = ["0x" + "00" * 65, "0x" + "ff" * 65, "0x" + "11" * 64 + "00", "0x", "", "0xzz"]


@pytest.mark.parametrize("signature", BAD)
def test_malformed_signature_is_nobodys(signature: str) -> None:
    found = recover_digest(fresh(), signature)

    assert found is None or found != Signer.random().address
    assert recover_typed({}, signature) is None


def test_signature_is_of_one_digest() -> None:
    digest = fresh()
    signer = recover_digest(digest, sign_digest(KEY, digest))

    assert signer is not None
    assert recover_digest(fresh(), sign_digest(KEY, digest)) != signer


def test_second_form_of_a_signature_is_no_second_receipt() -> None:
    """(r, n - s) is valid as well: a receipt's identity must not hang on its signature."""
    node = Node.of(Signer.random(), fresh(), NETWORK)
    signed = node.receipt(fresh(), fresh())
    r, s, v = signed.signature[2:66], int(signed.signature[66:130], 16), signed.signature[130:]
    other = "0x" + r + f"{N - s:064x}" + ("1b" if v == "1c" else "1c")
    again = signed.model_copy(update={"signature": other})

    assert again.is_signed()
    assert again.receipt.digest() == signed.receipt.digest()


def test_delegation_is_bound_to_everything_it_says() -> None:
    owner = Signer.random()
    delegation = Node.of(owner, fresh(), NETWORK).delegation
    assert delegation.owner() == owner.address

    for change in (
        {"dt": fresh()},
        {"node": "0x" + "5" * 40},
        {"expiry": 5},
        {"chain_id": 1},
        {"registry": "0x" + "6" * 40},
    ):
        assert delegation.model_copy(update=change).owner() != owner.address


def test_acknowledgement_is_bound_to_everything_it_says() -> None:
    receipt, job = fresh(), fresh()
    recorder = recover_digest(receipt, sign_digest(KEY, receipt))
    assert recorder is not None
    signature = sign_digest(KEY, Acknowledgement.digest(receipt, job, recorder, 7))
    word = Acknowledgement(receipt=receipt, job=job, recorder=recorder, time=7, signature=signature)
    assert word.is_signed()

    for change in ({"receipt": job}, {"job": receipt}, {"time": 8}, {"recorder": "0x" + "5" * 40}):
        assert not word.model_copy(update=change).is_signed()

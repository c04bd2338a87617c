"""Round documents and heads, against the real contract."""

import pytest
from pydantic import ValidationError

from datatoken.chain.errors import ContractError
from datatoken.chain.event_types import RoundLogged
from datatoken.chain.signer import Signer
from datatoken.ddo.canonical import canonical_bytes, parse_document
from datatoken.rounds.documents import (
    MAX_DOCUMENT_BYTES,
    InclusionProof,
    NamedRound,
    RoundDocument,
    next_head,
)
from datatoken.rounds.receipts import ZERO_HEAD
from datatoken.types import MessageKind
from tests.support.chain import Chain, fresh
from tests.support.receipts import Node, document


def test_head_is_the_one_that_the_contract_computes(chain: Chain) -> None:
    """Acceptance: 106."""
    job, recorder = fresh(), chain.users[1]
    node = Node.of(Signer.random(), fresh(), chain.network)
    first = document(chain.network, job, recorder.address, [node.receipt(job, fresh())])
    second = document(chain.network, job, recorder.address, [], after=first)

    for found in (first, second):
        sent = recorder.send(chain.contracts.log.append(job, found.previous, found.digest()))
        logged = sent.event(RoundLogged)

        assert logged.head == found.head()
        assert (logged.round, logged.document) == (found.number, found.digest())
        assert chain.contracts.log.head(job, recorder.address) == (found.head(), found.number)


def test_a_round_is_one_transaction_of_the_same_gas_for_any_number_of_clients(
    chain: Chain,
) -> None:
    """The document of 1, 10 and 1,000 receipts costs the same, but for zero bytes of calldata.

    Acceptance: 106
    """
    job, recorder = fresh(), chain.users[2]
    node = Node.of(Signer.random(), fresh(), chain.network)
    one = node.receipt(job, fresh())
    last, gas, zeros = None, [], []
    for count in (1, 1, 10, 1000):
        receipts = [
            one.model_copy(update={"receipt": one.receipt.model_copy(update={"output": fresh()})})
            for _ in range(count)
        ]
        last = document(chain.network, job, recorder.address, receipts, after=last)
        intent = chain.contracts.log.append(job, last.previous, last.digest())
        gas.append(recorder.send(intent).gas_used)
        zeros.append(intent.data.count(0))

    # A zero byte of calldata is 12 gas cheaper than another; the first write opens the slot.
    same = {used + 12 * count for used, count in zip(gas[1:], zeros[1:], strict=True)}
    assert len(same) == 1
    assert max(gas[1:]) <= 31_000


def test_forked_log_the_contract_refuses_to_build_on_another_head(chain: Chain) -> None:
    job, recorder = fresh(), chain.users[1]
    first = document(chain.network, job, recorder.address, [])
    recorder.send(chain.contracts.log.append(job, first.previous, first.digest()))

    with pytest.raises(ContractError, match=r"head"):
        recorder.send(chain.contracts.log.append(job, ZERO_HEAD, fresh()))


def test_head_depends_on_every_part() -> None:
    parts = (31337, "0x" + "aa" * 20, fresh(), ZERO_HEAD, fresh())
    others = (31338, "0x" + "bb" * 20, fresh(), "0x" + "01" * 28, fresh())

    heads = {next_head(*parts)}
    for index, other in enumerate(others):
        changed = [*parts]
        changed[index] = other
        heads.add(next_head(*changed))

    assert len(heads) == 6


def test_document_survives_its_bytes(chain: Chain) -> None:
    job = fresh()
    node = Node.of(Signer.random(), fresh(), chain.network)
    made = document(chain.network, job, "0x" + "aa" * 20, [node.receipt(job, fresh())])

    read = parse_document(RoundDocument, canonical_bytes(made), "document", MAX_DOCUMENT_BYTES)

    assert read == made
    assert read.digest() == made.digest() == made.header().digest()


def test_receipt_exchanged_behind_the_root_is_no_document(chain: Chain) -> None:
    job = fresh()
    node = Node.of(Signer.random(), fresh(), chain.network)
    made = document(chain.network, job, "0x" + "aa" * 20, [node.receipt(job, fresh())])
    plain = made.model_dump()
    plain["receipts"] = [node.receipt(job, fresh()).model_dump()]

    with pytest.raises(ValidationError, match="do not hash to the root"):
        RoundDocument.model_validate(plain)


def test_proof_needs_the_header_only_and_binds_it_to_the_chain(chain: Chain) -> None:
    """Acceptance: 107."""
    job = fresh()
    node = Node.of(Signer.random(), fresh(), chain.network)
    receipts = [node.receipt(job, fresh()) for _ in range(5)]
    made = document(chain.network, job, "0x" + "aa" * 20, receipts)

    proof = made.proof(receipts[3].receipt.digest())

    assert proof.holds()
    assert proof.header.head() == made.head()
    assert not proof.model_copy(update={"receipt": fresh()}).holds()
    assert InclusionProof.model_validate_json(canonical_bytes(proof)) == proof
    with pytest.raises(ValueError, match="is not in"):
        made.proof(fresh())


def test_annotations_are_of_the_round_that_the_document_closes(chain: Chain) -> None:
    job, by = fresh(), "0x" + "cc" * 20
    node = Node.of(Signer.random(), fresh(), chain.network)
    signed = node.receipt(job, fresh())
    about = NamedRound(
        run="1",
        kind=MessageKind.TRAIN,
        input=signed.receipt.input,
        members=[node.dt],
        annotations={"aggregate": "first"},
        by=by,
    )
    other = about.model_copy(update={"input": fresh(), "annotations": {"aggregate": "other"}})

    made = document(chain.network, job, by, [signed]).model_copy(update={"named": [about, other]})

    assert made.annotations == {"aggregate": "first"}
    assert made.members == [node.dt]

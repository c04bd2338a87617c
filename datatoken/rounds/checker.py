"""What a reader checks before it believes a recorder's documents. Pure: no I/O.

For each document, in this order:
 (1) it is of this chain, log contract, job and recorder;
 (2) its number and previous head continue what was verified before;
 (3) its receipts hash to its Merkle root (`RoundDocument` can't be built otherwise);
 (4) every receipt is of this job, is there once, is signed by its node, and the node is
     delegated by the owner that the chain names for the DT;
 (5) at the end, number and head are the ones on the chain.
A delegation's expiry is judged by the recorder when the receipt arrives: nothing in a log
tells an honest time.
"""

from collections.abc import Callable, Mapping, Sequence

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.view import LogState, Network
from datatoken.rounds.documents import RoundDocument
from datatoken.rounds.grouping import regroup
from datatoken.rounds.receipts import Delegation, Receipt, SignedReceipt
from datatoken.types import Address, Hex32


def advance(
    log: LogState,
    documents: Sequence[RoundDocument],
    head: str,
    number: int,
    *,
    network: Network,
    job: Hex32,
    recorder: Address,
    owners: Mapping[Hex32, Address],
) -> LogState:
    """Verify the documents that follow `log`; return the log at the on-chain head.

    Parameters
    ----------
    log : LogState
        What was verified before; ``LogState()`` to begin with.
    documents : sequence of RoundDocument
        In order. Those beyond `number` are not looked at: the recorder may be ahead.
    head, number : str, int
        Head and round of the job's recorder, read from the chain.
    network : Network
        The chain and contracts that the reader trusts.
    recorder : Address
        The job's recorder, read from the chain.
    owners : mapping of Hex32 to Address
        On-chain owner of every DT that the receipts name.

    Raises
    ------
    Refused
        ROLLED_BACK_VIEW when the chain shows less than was verified before,
        LOG_FORKED when the documents are of another history, RECORDER_BEHIND when some are
        missing, LOG_INVALID when a receipt in them is not what it says.
    """
    if number < log.round:
        raise Refused(
            Reason.ROLLED_BACK_VIEW,
            f"The node shows {number} rounds of the log; {log.round} were verified before.",
        )
    reached, count = log.head, log.round
    receipts: list[Receipt] = []
    included = set(log.included)
    delegated: dict[Delegation, Address | None] = {}
    for document in documents:
        if count == number:
            break
        _continues(document, reached, count, network, job, recorder)  # (1), (2)
        for signed in document.receipts:  # (4)
            _receipt(signed, job, network, owners, delegated)
            digest = signed.receipt.digest()
            if digest in included:
                raise _invalid(document, f"receipt {digest[:10]}… is logged twice")
            included.add(digest)
            receipts.append(signed.receipt)
        reached, count = document.head(), document.number
    if count < number:  # (5)
        raise Refused(
            Reason.RECORDER_BEHIND,
            f"The chain holds {number} rounds, the recorder has shown {count}.",
        )
    if reached != head:
        raise _forked(f"document {count} leads to head {reached[:10]}…, not to {head[:10]}…")
    return LogState(reached, count, regroup(log.groups, receipts), frozenset(included))


def check_receipt(
    signed: SignedReceipt,
    job: Hex32,
    network: Network,
    owner: Address,
    owner_of: Callable[[Delegation], Address | None] = Delegation.owner,
) -> str | None:
    """Return what is wrong with a receipt, or None. The recorder asks the same (4).

    Parameters
    ----------
    owner : Address
        The DT's owner on the chain.
    owner_of : callable
        How the account that signed a delegation is recovered (a cache, where many are).
    """
    delegation = signed.delegation
    if signed.receipt.job != job:
        return "it is of another job"
    if (delegation.chain_id, delegation.registry) != (network.chain_id, network.tokens):
        return "its delegation is for another chain or registry"
    if not signed.is_signed():
        return "the delegated node did not sign it"
    if owner_of(delegation) != owner:
        return "its delegation is not signed by the DT's owner"
    return None


def _continues(
    document: RoundDocument,
    head: str,
    count: int,
    network: Network,
    job: Hex32,
    recorder: Address,
) -> None:
    """Check (1) and (2)."""
    found = (document.chain_id, document.log, document.job, document.recorder)
    if found != (network.chain_id, network.log, job, recorder):
        raise _forked(f"document {document.number} is of another chain, log, job or recorder")
    if (document.number, document.previous) != (count + 1, head):
        raise _forked(f"document {document.number} does not follow the head of round {count}")


def _receipt(
    signed: SignedReceipt,
    job: Hex32,
    network: Network,
    owners: Mapping[Hex32, Address],
    delegated: dict[Delegation, Address | None],
) -> None:
    """Check (4)."""

    def owner_of(delegation: Delegation) -> Address | None:
        if delegation not in delegated:
            delegated[delegation] = delegation.owner()
        return delegated[delegation]

    dt = signed.receipt.dt
    owner = owners.get(dt)
    why = (
        check_receipt(signed, job, network, owner, owner_of)
        if owner is not None
        else "its DT is not on the chain"
    )
    if why is not None:
        raise Refused(Reason.LOG_INVALID, f"The log holds a receipt of {dt[:10]}…: {why}.")


def _invalid(document: RoundDocument, why: str) -> Refused:
    return Refused(Reason.LOG_INVALID, f"Document {document.number} of the log: {why}.")


def _forked(why: str) -> Refused:
    return Refused(Reason.LOG_FORKED, f"The recorder's log is not the one on the chain: {why}.")

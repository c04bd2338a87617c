"""One transaction out of however many attempts: taken up again, or signed with the right nonce.

All of it happens under the journal's lock. Whatever was signed may be mined until the chain
proves that it can't be; so what is signed anew has the nonce of the attempt before it, and of
the two one can be mined at most.
"""

import contextlib
import time
from collections.abc import Mapping
from typing import Any

from datatoken.chain.errors import from_rpc_error
from datatoken.chain.fates import STILL, Fate, Fates
from datatoken.chain.intents import Transaction
from datatoken.chain.journal import Entry, Journal, State
from datatoken.chain.pricing import Pricing
from datatoken.chain.profiles import NetworkProfile
from datatoken.chain.refusals import Refusal, RefusedByAllError, refusal_of
from datatoken.chain.rpc import Rpc, RpcError
from datatoken.chain.signer import Signer, refuse_public_key
from datatoken.errors import BadInputError, ChainUnreachableError, TransactionError

NONCE_ATTEMPTS = 3


class TransactionPendingError(TransactionError):
    """A transaction was sent and is not mined yet."""

    code = "TRANSACTION_PENDING"


class TransactionReplacedError(TransactionError):
    """Another transaction of the same account took this one's place; it was not carried out."""

    code = "TRANSACTION_REPLACED"


class Attempts:
    """The attempts at the transactions of one account.

    Parameters
    ----------
    rpc : Rpc
        Connection to the chain.
    signer : Signer
        The account.
    profile : NetworkProfile
        The chain's rules.
    journal : Journal
        What was signed so far; `take` and `settle_all` need its lock.
    """

    def __init__(self, rpc: Rpc, signer: Signer, profile: NetworkProfile, journal: Journal) -> None:
        self.rpc, self.signer, self.profile = rpc, signer, profile
        self.pricing = Pricing(rpc, signer.address, profile)
        self.fates = Fates(rpc, signer.address, profile)
        self._journal = journal

    def start(self) -> None:
        """Bind the journal to this very chain: a fresh local chain shares the id, not the block."""
        if self._journal.chain:
            return
        refuse_public_key(
            self.signer.address, self.profile.chain_id, stand_in=self.profile.stand_in
        )
        self.rpc.verify_chain(self.profile.chain_id)
        genesis = self.rpc.request("eth_getBlockByNumber", ["0x0", False])
        self._journal.chain = f"{self.profile.chain_id}:{genesis['hash']}"

    def take(self, intent: Transaction, key: str | None) -> Entry:
        """Return the entry of a transaction that is on its way, sent now or before.

        Raises
        ------
        ContractError
            When it would revert.
        TransactionPendingError
            When it has to wait for another one of this account.
        """
        attempts = NONCE_ATTEMPTS
        patience = time.monotonic() + min(
            self.profile.receipt_timeout, STILL * self.profile.block_time
        )
        while True:
            entry, refused = self._earlier(intent, key)
            if entry is not None:
                self._journal.hold(entry)
                return entry
            taken = self._taken(refused)
            self.settle_all()
            if taken:
                self._wait_for(intent, patience)
                continue
            try:
                return self._send_new(intent, key, refused)
            except TransactionReplacedError:  # somebody else used the account
                attempts -= 1
                if not attempts:
                    raise

    def _earlier(self, intent: Transaction, key: str | None) -> tuple[Entry | None, list[Entry]]:
        """Return the same transaction from an earlier attempt, sent again where needed.

        Else, return the attempts that were refused and could be mined yet.
        """
        refused = []
        for entry in self._journal.attempts(intent.digest, key):
            same = entry.intent == intent.digest
            if not same and entry.state is not State.DROPPED:
                raise _other_use(key, entry)
            fate = self.fate(entry)
            if fate is Fate.MINED and not same:
                raise _other_use(key, entry)
            if fate is Fate.MINED or (fate is Fate.OPEN and self._sent_again(entry)):
                return entry, []
            if fate is Fate.OPEN:
                refused.append(entry)
        return None, refused

    def _sent_again(self, entry: Entry) -> bool:
        """Send an open transaction's bytes again; return whether it is on its way.

        One that is rejected now is to be signed again, with its nonce.
        """
        if entry.state is State.DROPPED:
            return False
        self._journal.settle(entry, State.SIGNED)
        try:
            refusal = self.offer(entry)
        except TransactionReplacedError:
            return False
        if refusal is not None and refusal_of(refusal) is not Refusal.REJECTED:
            raise from_rpc_error(refusal) from refusal
        return refusal is None

    def fate(self, entry: Entry) -> Fate:
        """Return what became of a transaction, and note when it can't be mined any more.

        What was seen mined is not signed again where blocks are final: nodes drop old receipts.
        A stand-in may have been started again from an older state.

        Raises
        ------
        TransactionError
            When nobody shows the receipt of a transaction that was mined.
        """
        fate = self.fates.of(entry)
        if fate is Fate.GONE:
            if entry.state is State.MINED and not self.profile.stand_in:
                raise TransactionError(
                    f"{entry.label} was mined ({entry.hash}); its receipt is not shown any more.",
                    "Name an endpoint that keeps the index of old transactions.",
                )
            self._journal.settle(entry, State.REPLACED)
        return fate

    def settle_all(self) -> None:
        """Send every transaction again that the node may have lost, before a nonce is chosen."""
        for entry in self._journal.unsettled():
            if entry.holder == self._journal.holder:
                continue  # this sender has just sent it
            raw = self.fates.receipt(entry)
            if raw is not None:
                self._journal.settle(entry, state_of(raw))
            elif self.fate(entry) is Fate.OPEN:
                # What is refused now (no funds, say) its own command will say.
                with contextlib.suppress(TransactionReplacedError, ChainUnreachableError):
                    self.offer(entry)

    def _taken(self, refused: list[Entry]) -> bool:
        """Tell whether another transaction of ours has a nonce of refused attempts."""
        own = {one.id for one in refused}
        others = {one.nonce for one in self._journal.unsettled() if one.id not in own}
        return any(one.nonce in others for one in refused)

    def _wait_for(self, intent: Transaction, deadline: float) -> None:
        """Wait while another transaction of ours has the nonce of a refused attempt."""
        if time.monotonic() > deadline:
            raise TransactionPendingError(
                f"{intent.label} was refused before; another transaction of this account has its "
                "place and is not mined yet.",
                "Repeat the command later; it is not sent twice.",
            )
        time.sleep(self.profile.poll_interval)

    def _send_new(self, intent: Transaction, key: str | None, refused: list[Entry]) -> Entry:
        """Sign, journal and send, in the place of refused attempts where there are any."""
        entry = self._sign(intent, key, refused)
        try:
            refusal = self.offer(entry)
            if refusal is None:
                return entry
            alone = isinstance(refusal, RefusedByAllError) or len(self.rpc.urls) == 1
            if alone and refusal_of(refusal) is Refusal.REJECTED:
                # Nobody says that he may have it: the nonce is free for other transactions.
                self._journal.settle(entry, State.DROPPED)
            raise from_rpc_error(refusal) from refusal
        except BaseException:
            self._journal.release(entry)
            raise

    def _sign(self, intent: Transaction, key: str | None, refused: list[Entry]) -> Entry:
        fields: dict[str, Any] = {
            "chainId": self.profile.chain_id,
            "nonce": min(one.nonce for one in refused) if refused else self._next_nonce(),
            "value": 0,
            "data": "0x" + intent.data.hex(),
            "gas": self.pricing.estimate(intent),
            **self.pricing.fees(),
        }
        if intent.to is not None:
            fields["to"] = bytes.fromhex(intent.to[2:])
        raw, tx_hash = self.signer.sign_transaction(fields, stand_in=self.profile.stand_in)
        for one in refused:
            self._journal.settle(one, State.DROPPED)
        return self._journal.add(
            key=key,
            intent=intent.digest,
            label=intent.label,
            nonce=fields["nonce"],
            tx_hash=tx_hash,
            raw=raw,
        )

    def _next_nonce(self) -> int:
        used = {entry.nonce for entry in self._journal.unsettled()}
        nonce = self.pricing.nonce("pending")
        while nonce in used:
            nonce += 1
        return nonce

    def offer(self, entry: Entry) -> RpcError | None:
        """Give a transaction to the chain; return the refusal, None when it is on its way.

        Raises
        ------
        TransactionReplacedError
            When its nonce is used and the transaction proven to be gone.
        """
        try:
            self.rpc.request("eth_sendRawTransaction", ["0x" + entry.raw.hex()])
        except RpcError as error:
            kind = refusal_of(error)
            if kind is Refusal.NONCE_USED and self.fate(entry) is Fate.GONE:
                raise replaced(entry) from error
            return error if kind in (Refusal.REJECTED, Refusal.OTHER) else None
        return None


def state_of(raw: Mapping[str, Any]) -> State:
    """Return the state that a receipt proves."""
    return State.MINED if int(raw["status"], 16) == 1 else State.REVERTED


def replaced(entry: Entry) -> TransactionReplacedError:
    """Return the error of a transaction that can't be mined any more."""
    return TransactionReplacedError(
        f"{entry.label} was not carried out: another transaction of this account took its place.",
        "Repeat the command; use one journal for all processes of an account.",
    )


def _other_use(key: str | None, entry: Entry) -> BadInputError:
    return BadInputError(
        f"The idempotency key {key!r} was used for another transaction ({entry.label})."
    )

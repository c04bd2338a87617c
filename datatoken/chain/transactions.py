"""Sends transactions so that a crash or a lost answer neither loses nor repeats one.

Under one lock: allocate the nonce, sign, write the raw bytes to the journal, send. Whatever
happens then, repeating the command finds the journal's entry and sends the same bytes again.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from datatoken.chain.errors import ContractError, from_rpc_error
from datatoken.chain.event_codec import decode_log
from datatoken.chain.intents import Receipt, Transaction
from datatoken.chain.journal import Entry, Journal, State
from datatoken.chain.pricing import Pricing
from datatoken.chain.profiles import NetworkProfile
from datatoken.chain.rpc import Rpc, RpcError
from datatoken.chain.signer import Signer, refuse_public_key
from datatoken.errors import BadInputError, TransactionError

REBROADCAST_SECONDS = 5.0
NONCE_ATTEMPTS = 3
_KNOWN = ("already known", "already imported", "known transaction")
_NONCE_USED = ("nonce too low", "already been used")
_REJECTED = (
    "insufficient funds",
    "gas too low",
    "gas limit",
    "underpriced",
    "less than block base fee",
    "tip above fee cap",
    "oversized",
    "invalid sender",
    "chain id",
)


class TransactionPendingError(TransactionError):
    """A transaction was sent and is not mined yet."""

    code = "TRANSACTION_PENDING"


class TransactionReplacedError(TransactionError):
    """Another transaction of the same account took this one's place; it was not carried out."""

    code = "TRANSACTION_REPLACED"


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction on its way; give it to `Sender.wait`."""

    entry: Entry
    intent: Transaction | None

    @property
    def tx_hash(self) -> str:
        """Hash of the transaction."""
        return self.entry.hash


class Sender:
    """Sends the transactions of one account. Thread-safe.

    Parameters
    ----------
    rpc : Rpc
        Connection to the chain.
    signer : Signer
        The account.
    profile : NetworkProfile
        The chain's rules.
    journal_path : Path
        Journal file; all processes that use the account on this machine share it.
    """

    def __init__(
        self, rpc: Rpc, signer: Signer, profile: NetworkProfile, journal_path: Path
    ) -> None:
        self.rpc = rpc
        self.signer = signer
        self.profile = profile
        self._pricing = Pricing(rpc, signer.address, profile)
        self._journal = Journal(journal_path, signer.address)

    @property
    def address(self) -> str:
        """The account."""
        return self.signer.address

    def send(self, intent: Transaction, key: str | None = None) -> Receipt:
        """Send a transaction and wait until it is mined.

        Parameters
        ----------
        intent : Transaction
            What to send.
        key : str, optional
            Idempotency key: the transaction is sent once for this key, however often the
            command is repeated. Without a key, only an equal transaction whose answer was
            lost is taken up again.

        Raises
        ------
        ContractError
            When the contract refuses; nothing was sent, or it was mined and reverted.
        TransactionPendingError
            When it is not mined in time; repeating is safe.
        ChainUnreachableError
            When no endpoint answers; repeating is safe.
        """
        return self.wait(self.submit(intent, key))

    def submit(self, intent: Transaction, key: str | None = None) -> Sent:
        """Sign, journal and send a transaction without waiting; see `send`."""
        with self._journal.locked():
            self._start()
            entry = self._earlier(intent, key)
            if entry is not None:
                self._journal.hold(entry)
                return Sent(entry, intent)
            self._settle_all()
            return Sent(self._send_new(intent, key), intent)

    def wait(self, sent: Sent) -> Receipt:
        """Wait until a transaction is mined and confirmed; see `send`."""
        entry = sent.entry
        try:
            receipt = self._finish(entry, self._await_receipt(entry), sent.intent)
        except BaseException:
            # Whoever repeats the command takes this transaction over.
            self._journal.release(entry)
            raise
        self._journal.deliver(entry)
        return receipt

    def resume(self) -> tuple[Receipt, ...]:
        """Send again what was signed and is not mined, the same bytes; wait for it.

        Returns
        -------
        tuple[Receipt, ...]
            Receipts of those that succeeded. A repeated command still finds each of them.
        """
        with self._journal.locked():
            self._start()
            self._settle_all()
            entries = self._journal.unsettled()
        receipts = []
        for entry in entries:
            try:
                receipts.append(self._finish(entry, self._await_receipt(entry), None))
            except (ContractError, TransactionReplacedError):
                continue
        return tuple(receipts)

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the journal."""
        self.close()

    def _start(self) -> None:
        """Bind the journal to this very chain: a fresh local chain shares the id, not the block."""
        if self._journal.chain:
            return
        refuse_public_key(self.address, self.profile.chain_id, stand_in=self.profile.stand_in)
        self.rpc.verify_chain(self.profile.chain_id)
        genesis = self.rpc.request("eth_getBlockByNumber", ["0x0", False])
        self._journal.chain = f"{self.profile.chain_id}:{genesis['hash']}"

    def _earlier(self, intent: Transaction, key: str | None) -> Entry | None:
        """Return the same transaction from an earlier attempt, sent again where needed."""
        if key is None:
            entry = self._journal.orphan(intent.digest)
        else:
            entry = self._journal.by_key(key)
            if entry is not None and entry.intent != intent.digest:
                raise BadInputError(
                    f"The idempotency key {key!r} was used for another transaction ({entry.label})."
                )
        if entry is None or self._revive(entry):
            return entry
        return None

    def _revive(self, entry: Entry) -> bool:
        """Return whether the entry is mined or on its way (again); else note it as dropped."""
        if self._receipt(entry) is not None:
            return True
        if self._pricing.nonce("latest") > entry.nonce:
            if self._receipt(entry) is not None:  # mined between the two questions
                return True
            self._journal.settle(entry, State.DROPPED)
            return False
        self._journal.settle(entry, State.SIGNED)
        try:
            self._broadcast(entry)
        except TransactionReplacedError:
            return False
        return True

    def _settle_all(self) -> None:
        """Send every transaction again that the node may have lost, before a nonce is chosen."""
        for entry in self._journal.unsettled():
            if entry.holder == self._journal.holder:
                continue  # this sender has just sent it
            raw = self._receipt(entry)
            if raw is not None:
                self._journal.settle(entry, _state(raw))
                continue
            try:
                self._revive(entry)
            except TransactionError:
                # The node refuses it now (no funds, say): its own command will say so.
                continue

    def _send_new(self, intent: Transaction, key: str | None) -> Entry:
        """Sign, journal and send; with another nonce when somebody else used the account."""
        for attempt in range(NONCE_ATTEMPTS):
            entry = self._sign(intent, key)
            try:
                self._broadcast(entry)
            except TransactionReplacedError:
                if attempt == NONCE_ATTEMPTS - 1:
                    raise
            except BaseException:
                self._journal.release(entry)
                raise
            else:
                return entry
        raise AssertionError("unreachable")

    def _sign(self, intent: Transaction, key: str | None) -> Entry:
        fields: dict[str, Any] = {
            "chainId": self.profile.chain_id,
            "nonce": self._next_nonce(),
            "value": 0,
            "data": "0x" + intent.data.hex(),
            "gas": self._pricing.estimate(intent),
            **self._pricing.fees(),
        }
        if intent.to is not None:
            fields["to"] = bytes.fromhex(intent.to[2:])
        raw, tx_hash = self.signer.sign_transaction(fields, stand_in=self.profile.stand_in)
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
        nonce = self._pricing.nonce("pending")
        while nonce in used:
            nonce += 1
        return nonce

    def _broadcast(self, entry: Entry) -> None:
        try:
            self.rpc.request("eth_sendRawTransaction", ["0x" + entry.raw.hex()])
        except RpcError as error:
            text = error.text.lower()
            if any(known in text for known in _KNOWN):
                return
            if any(used in text for used in _NONCE_USED):
                if self._receipt(entry) is not None:
                    return
                self._journal.settle(entry, State.DROPPED)
                raise _replaced(entry) from error
            if any(refused in text for refused in _REJECTED):
                self._journal.settle(entry, State.DROPPED)
            # Any other error may come from between us and a node that has taken it.
            raise from_rpc_error(error) from error

    def _receipt(self, entry: Entry) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self.rpc.request(
            "eth_getTransactionReceipt", [entry.hash]
        )
        return found if found and found.get("blockNumber") else None

    def _await_receipt(self, entry: Entry) -> Mapping[str, Any]:
        deadline = time.monotonic() + self.profile.receipt_timeout
        again = time.monotonic() + REBROADCAST_SECONDS
        pause = self.profile.poll_interval / 16  # a local chain mines at once
        while True:
            raw = self._receipt(entry)
            if raw is not None and self._confirmed(raw):
                return raw
            now = time.monotonic()
            if raw is None and now > again:
                again = now + REBROADCAST_SECONDS
                if not self._revive(entry):
                    raise _replaced(entry)
            if now > deadline:
                raise TransactionPendingError(
                    f"{entry.label} was sent ({entry.hash}) and is not mined after "
                    f"{self.profile.receipt_timeout:.0f} s.",
                    "Repeat the command later; it is not sent twice.",
                )
            time.sleep(pause)
            pause = min(2 * pause, self.profile.poll_interval)

    def _confirmed(self, raw: Mapping[str, Any]) -> bool:
        if self.profile.confirmations == 0:
            return True
        mined = int(raw["blockNumber"], 16)
        return self.rpc.block_number() >= mined + self.profile.confirmations

    def _finish(self, entry: Entry, raw: Mapping[str, Any], intent: Transaction | None) -> Receipt:
        self._journal.settle(entry, _state(raw))
        if _state(raw) is State.REVERTED:
            raise self._reverted(entry, raw, intent)
        created = raw.get("contractAddress")
        return Receipt(
            tx_hash=entry.hash,
            block_number=int(raw["blockNumber"], 16),
            gas_used=int(raw["gasUsed"], 16),
            events=tuple(event for event in map(decode_log, raw["logs"]) if event is not None),
            contract=str(created).lower() if created else None,
        )

    def _reverted(
        self, entry: Entry, raw: Mapping[str, Any], intent: Transaction | None
    ) -> TransactionError:
        """Run a reverted transaction again as a call, to learn why."""
        why = self._pricing.reason(intent, raw["blockNumber"]) if intent is not None else None
        if why is not None:
            return why
        return ContractError({}, f"{entry.label} was mined and reverted ({entry.hash}).")


def _state(raw: Mapping[str, Any]) -> State:
    return State.MINED if int(raw["status"], 16) == 1 else State.REVERTED


def _replaced(entry: Entry) -> TransactionReplacedError:
    return TransactionReplacedError(
        f"{entry.label} was not carried out: another transaction of this account took its place.",
        "Repeat the command; use one journal for all processes of an account.",
    )

"""Receipts of a node: written before a reply leaves, posted to the recorder beside Flower.

The salt of an output digest follows from a secret that stays with the owner, so that a
digest says nothing about the reply, and the owner can still prove what it stands for.
"""

import hashlib
import hmac
import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from datatoken.authorization.decision import Lease
from datatoken.authorization.history import HistoryStore
from datatoken.ddo.canonical import canonical_bytes, parse_document
from datatoken.errors import DataTokenError, LocalEnvironmentError
from datatoken.rounds.receipts import Acknowledgement, Delegation, Receipt, SignedReceipt
from datatoken.types import Address, Hex32, sha256_hex

log = structlog.get_logger(__name__)

SALT_DOMAIN = b"datatoken/salt/1\n"
MAX_RECEIPT_BYTES = 16 * 1024
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


class MessageSigner(Protocol):
    """A node key (`datatoken.chain.signer.Signer`)."""

    address: Address

    def sign_message(self, content: bytes) -> str:
        """Sign bytes as a personal message (EIP-191); return hex."""
        ...


class ReceiptBook:
    """Writes the receipts of one node key.

    Parameters
    ----------
    history : HistoryStore
    signer : MessageSigner
        The node key.
    delegation : Delegation
        The DT owner's word for that key.
    secret : bytes
        What salts follow from; 32 bytes that never leave (`salt_secret`).
    """

    def __init__(
        self, history: HistoryStore, signer: MessageSigner, delegation: Delegation, secret: bytes
    ) -> None:
        self._history, self._signer = history, signer
        self._delegation, self._secret = delegation, secret

    def write(self, lease: Lease, input_digest: Hex32, reply_digest: Hex32) -> SignedReceipt:
        """Sign and store the receipt of one answered message; on return it is on disk."""
        signed = self.sign(lease, input_digest, reply_digest)
        self.store(signed)
        return signed

    def sign(self, lease: Lease, input_digest: Hex32, reply_digest: Hex32) -> SignedReceipt:
        """Sign the receipt of a round that is not over before all parties have signed (MPC)."""
        receipt = Receipt(
            job=lease.job,
            request=lease.request,
            run=lease.run,
            dt=lease.asset,
            kind=lease.kind,
            sequence=lease.sequence,
            head=lease.head,
            input=input_digest,
            output=self.salted(lease, input_digest, reply_digest),
        )
        return SignedReceipt(
            receipt=receipt,
            signature=self._signer.sign_message(bytes.fromhex(receipt.digest()[2:])),
            delegation=self._delegation,
        )

    def store(self, signed: SignedReceipt) -> None:
        """Store a receipt for the outbox; on return it is on disk."""
        receipt = signed.receipt
        self._history.add_receipt(receipt.digest(), receipt.job, canonical_bytes(signed))

    def salted(self, lease: Lease, input_digest: Hex32, reply_digest: Hex32) -> Hex32:
        """Return sha256(salt ‖ reply digest)."""
        named = [lease.job, lease.run, lease.asset, lease.kind.value, str(lease.sequence)]
        message = SALT_DOMAIN + canonical_bytes([*named, input_digest])
        salt = hmac.new(self._secret, message, hashlib.sha256).digest()
        return sha256_hex(salt + bytes.fromhex(reply_digest[2:]))


def salt_secret(path: Path) -> bytes:
    """Return the secret in `path`; make it when there is none.

    Raises
    ------
    LocalEnvironmentError
        The file can't be read or made, or holds something else.
    """
    try:
        if not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(32))
        content = path.read_bytes()
    except OSError as error:
        raise LocalEnvironmentError(
            f"The file {path} can't be used: {error.strerror}.",
            "Give a state folder that this account may write to.",
        ) from None
    if len(content) != 32:
        raise LocalEnvironmentError(f"The file {path} is not a salt secret of 32 bytes.")
    return content


class Outbox:
    """Posts receipts to their recorders until each is acknowledged, in a thread of its own.

    Parameters
    ----------
    history : HistoryStore
    post : callable
        Posts one receipt; returns the acknowledgement or raises `DataTokenError`.
    recorder : callable
        Returns the account of a job's recorder.
    """

    def __init__(
        self,
        history: HistoryStore,
        post: Callable[[SignedReceipt], Acknowledgement],
        recorder: Callable[[Hex32], Address],
    ) -> None:
        self._history, self._post, self._recorder = history, post, recorder
        self._work, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._loop, name="receipts", daemon=True)

    def start(self) -> None:
        """Start posting, with what an earlier process has left."""
        self._work.set()
        self._thread.start()

    def wake(self) -> None:
        """Say that there is a new receipt."""
        self._work.set()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread; what is not acknowledged waits on disk."""
        self._stop.set()
        self._work.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def post_all(self) -> bool:
        """Try every waiting receipt once; tell whether none is left waiting."""
        done = True
        for digest, content in self._history.outbox():
            try:
                signed = parse_document(SignedReceipt, content, "receipt", MAX_RECEIPT_BYTES)
                acknowledgement = self._post(signed)
                self._check(signed, acknowledgement)
                self._history.acknowledge(digest, canonical_bytes(acknowledgement))
            except Exception as error:  # one receipt must not keep back the others
                done = False
                code = error.code if isinstance(error, DataTokenError) else type(error).__name__
                log.warning("receipt not posted", receipt=digest, error=code, why=str(error))
        return done

    def _check(self, signed: SignedReceipt, acknowledgement: Acknowledgement) -> None:
        job = signed.receipt.job
        named = (acknowledgement.receipt, acknowledgement.job, acknowledgement.recorder)
        if named != (signed.receipt.digest(), job, self._recorder(job)):
            raise DataTokenError("The acknowledgement is for something else.")
        if not acknowledgement.is_signed():
            raise DataTokenError("The acknowledgement is not signed by the job's recorder.")

    def _loop(self) -> None:
        pause = FIRST_PAUSE
        while True:
            self._work.wait()
            if self._stop.is_set():
                return
            self._work.clear()
            if self.post_all():
                pause = FIRST_PAUSE
                continue
            self._stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            self._work.set()

"""The recorders of jobs, as verified documents name them."""

import threading

from datatoken.authorization.decision import recorder_of
from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.reasons import Reason, Refused
from datatoken.chain.signer import Signer
from datatoken.ddo.models import RecorderRef
from datatoken.rounds.receipts import Acknowledgement, Delegation, SignedReceipt
from datatoken.service.client import RecorderClient
from datatoken.types import Address, Hex32

POST_SECONDS = 10.0
MAX_ASKED = 4
"""Recorders that are asked whether they are there: the latest ones."""


class Recorders:
    """The recorders of jobs, as the verified documents name them, never as a server does.

    Parameters
    ----------
    signer : Signer
        A node key, or the owner's own.
    delegation : Delegation, optional
        The owner's word, where the key is not the owner's own.
    """

    def __init__(self, signer: Signer, delegation: Delegation | None) -> None:
        self._signer, self._delegation = signer, delegation
        self._clients: dict[tuple[Address, str], RecorderClient] = {}
        self._lock = threading.Lock()
        self.gatekeeper: Gatekeeper | None = None

    def named(self, job: Hex32) -> RecorderRef:
        """Return the recorder that the documents of a job name; raise `Refused`."""
        if self.gatekeeper is None:
            raise RuntimeError("no gatekeeper yet")
        tree = self.gatekeeper.tree(job)
        for path in tree.paths(self.gatekeeper.asset):
            if (found := recorder_of(tree.ddos, path)) is not None:
                return found
        raise Refused(Reason.RECORDER_MISMATCH, "The job's documents name no recorder.")

    def account(self, job: Hex32) -> Address:
        """Return the account of a job's recorder."""
        return self.named(job).account

    def client(self, job: Hex32) -> RecorderClient:
        """Return the client of a job's recorder."""
        ref = self.named(job)
        with self._lock:
            key = (ref.account, ref.endpoint)
            if key not in self._clients:
                self._clients[key] = RecorderClient(
                    ref.endpoint,
                    self._signer,
                    recorder=ref.account,
                    delegation=self._delegation,
                    timeout=POST_SECONDS,
                )
            return self._clients[key]

    def trouble(self) -> str | None:
        """Ask the recorders of the jobs so far whether they are there; return why one is not."""
        with self._lock:
            clients = list(self._clients.values())[-MAX_ASKED:]
        return next((why for client in clients if (why := client.trouble())), None)

    def post(self, signed: SignedReceipt) -> Acknowledgement:
        """Post one receipt to its job's recorder."""
        return self.client(signed.receipt.job).post_receipt(signed)

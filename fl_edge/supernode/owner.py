"""The owner's side, put together: chain, store, history, recorder, node key."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from datatoken.authorization.decision import recorder_of
from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.history import HistoryStore
from datatoken.authorization.reasons import Reason, Refused
from datatoken.chain.deployment import Deployment
from datatoken.chain.reader import ChainReader
from datatoken.chain.rpc import Rpc
from datatoken.chain.signer import Signer
from datatoken.ddo.models import RecorderRef
from datatoken.errors import BadInputError
from datatoken.rounds.receipts import Acknowledgement, Delegation, SignedReceipt
from datatoken.service.client import LogFollower, RecorderClient
from datatoken.store import open_store
from datatoken.types import Address, Hex32
from fl_edge.supernode.authority import ChainAuthority
from fl_edge.supernode.jobs import OpenJobs
from fl_edge.supernode.receipts import Outbox, ReceiptBook, salt_secret
from fl_edge.supernode.settings import Settings, check_delegation, read_delegation

RPC_SECONDS = 10.0
POST_SECONDS = 10.0


class Recorders:
    """The recorders of jobs, as the verified documents name them, never as a server does.

    Parameters
    ----------
    signer : Signer
        The node key.
    delegation : Delegation
    """

    def __init__(self, signer: Signer, delegation: Delegation) -> None:
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

    def post(self, signed: SignedReceipt) -> Acknowledgement:
        """Post one receipt to its job's recorder."""
        return self.client(signed.receipt.job).post_receipt(signed)


class OwnerSide:
    """All that a gate needs of its owner.

    Attributes
    ----------
    authority : ChainAuthority
    book : ReceiptBook
    outbox : Outbox
    rpcs : callable
        Returns how many requests have gone to the chain.
    """

    def __init__(
        self,
        authority: ChainAuthority,
        book: ReceiptBook,
        outbox: Outbox,
        rpcs: Callable[[], int] = lambda: 0,
    ) -> None:
        self.authority, self.book, self.outbox, self.rpcs = authority, book, outbox, rpcs

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Read keys and files, ask the chain who the owner is, and put everything together.

        Raises
        ------
        DataTokenError
            BadInputError, KeystoreError, ChainUnreachableError, WrongChainError,
            LocalEnvironmentError: nothing was started.
        """
        deployment = Deployment.load(settings.deployment)
        profile, network = deployment.network_profile(), deployment.network()
        delegation = read_delegation(settings.delegation)
        signer = Signer.from_keystore(
            settings.node_key, settings.password, stand_in=profile.stand_in
        )
        store = open_store(settings.store)
        rpc = Rpc(list(deployment.rpc_urls), RPC_SECONDS)
        deployment.verify(rpc)
        reader = ChainReader(rpc, network, finality=profile.finality, view_gas=profile.view_gas)
        record = reader.record(settings.dt)
        if not record.exists:
            raise BadInputError(f"There is no DT {settings.dt} on this chain.")
        check_delegation(
            delegation,
            chain_id=network.chain_id,
            registry=network.tokens,
            dt=settings.dt,
            owner=record.owner,
            node=signer.address,
            now=int(time.time()),
        )
        history = HistoryStore(settings.state / "history.sqlite")
        recorders = Recorders(signer, delegation)
        log_path: Path = settings.state / "log.sqlite"
        follower = LogFollower(recorders.client, reader, log_path, own=[settings.dt])
        gatekeeper = Gatekeeper(
            settings.dt,
            reader,
            store,
            history,
            follower,
            clock_bound=int(profile.clock_bound),
        )
        recorders.gatekeeper = gatekeeper
        secret = salt_secret(settings.state / "salt.key")
        return cls(
            ChainAuthority(gatekeeper, OpenJobs(reader)),
            ReceiptBook(history, signer, delegation, secret),
            Outbox(history, recorders.post, recorders.account),
            lambda: rpc.calls,
        )

"""The owner's side, put together: chain, store, history, recorder, node key."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.history import HistoryStore
from datatoken.chain.deployment import Deployment
from datatoken.chain.reader import ChainReader
from datatoken.chain.signer import Signer
from datatoken.errors import BadInputError
from datatoken.service.client import LogFollower
from datatoken.service.delegations import check_delegation, read_delegation
from datatoken.service.monitor import Monitor
from datatoken.service.receipts import Outbox, ReceiptBook, salt_secret
from datatoken.service.recorders import Recorders
from datatoken.store import open_store
from fl_edge.supernode.authority import ChainAuthority
from fl_edge.supernode.jobs import OpenJobs
from fl_edge.supernode.settings import Settings

RPC_SECONDS = 10.0
POST_SECONDS = 10.0


class OwnerSide:
    """All that a gate needs of its owner.

    Attributes
    ----------
    authority : ChainAuthority
    book : ReceiptBook
    outbox : Outbox
    rpcs : callable
        Returns how many requests have gone to the chain.
    monitor : Monitor
        Counts what the gate lets through and refuses.
    """

    def __init__(
        self,
        authority: ChainAuthority,
        book: ReceiptBook,
        outbox: Outbox,
        rpcs: Callable[[], int] = lambda: 0,
        monitor: Monitor | None = None,
    ) -> None:
        self.authority, self.book, self.outbox, self.rpcs = authority, book, outbox, rpcs
        self.monitor = monitor or Monitor("supernode")

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
        rpc = deployment.connect(RPC_SECONDS, settings.state)
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
        monitor = Monitor("supernode")
        gatekeeper = Gatekeeper(
            settings.dt,
            monitor.watched(reader),
            store,
            history,
            follower,
            clock_bound=int(profile.clock_bound),
        )
        recorders.gatekeeper = gatekeeper
        monitor.add_gauges(history.totals)
        monitor.add_probe("chain", lambda: rpc.verify_chain(network.chain_id))
        monitor.add_probe("recorder", recorders.trouble)
        secret = salt_secret(settings.state / "salt.key")
        return cls(
            ChainAuthority(gatekeeper, OpenJobs(reader)),
            ReceiptBook(history, signer, delegation, secret),
            Outbox(history, recorders.post, recorders.account),
            lambda: rpc.calls,
            monitor,
        )

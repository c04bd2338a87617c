"""The maker's side, put together: chain, store, history, recorder, claims."""

import time
from typing import Self

from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.history import HistoryStore
from datatoken.chain.deployment import Deployment
from datatoken.chain.reader import ChainReader
from datatoken.chain.signer import Signer
from datatoken.errors import BadInputError
from datatoken.rounds.receipts import Delegation
from datatoken.service.client import LogFollower
from datatoken.service.delegations import check_delegation, read_delegation
from datatoken.service.monitor import Monitor
from datatoken.service.recorders import Recorders
from datatoken.store import open_store
from datatoken.types import Address
from fl_edge.superlink.claims import Aggregates, ClaimCourier
from fl_edge.superlink.gate import SuperLinkGate
from fl_edge.superlink.hooks import Hooks
from fl_edge.superlink.runs import RunBook
from fl_edge.superlink.settings import Settings
from fl_edge.superlink.watch import RoundWatch
from fl_edge.supernode.jobs import OpenJobs

RPC_SECONDS = 10.0
SPOOL = "spool"


class MakerSide:
    """All that a gated SuperLink needs of its owner.

    Attributes
    ----------
    hooks : Hooks
        Not installed yet.
    courier : ClaimCourier
        Not started yet.
    monitor : Monitor
        Counts what the hooks let through and refuse.
    """

    def __init__(self, hooks: Hooks, courier: ClaimCourier, monitor: Monitor) -> None:
        self.hooks, self.courier, self.monitor = hooks, courier, monitor

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Read keys and files, ask the chain who the owner is, and put everything together.

        Raises
        ------
        DataTokenError
            Nothing was started then.
        """
        deployment = Deployment.load(settings.deployment)
        profile, network = deployment.network_profile(), deployment.network()
        signer = Signer.from_keystore(
            settings.keystore, settings.password, stand_in=profile.stand_in
        )
        store = open_store(settings.store)
        rpc = deployment.connect(RPC_SECONDS, settings.state)
        deployment.verify(rpc)
        reader = ChainReader(rpc, network, finality=profile.finality, view_gas=profile.view_gas)
        recorders = Recorders(signer, _delegation(settings, reader, signer.address))
        follower = LogFollower(recorders.client, reader, settings.state / "log.sqlite")
        history = HistoryStore(settings.state / "history.sqlite")
        monitor = Monitor("superlink")
        keeper = Gatekeeper(settings.dt, monitor.watched(reader), store, history, follower)
        recorders.gatekeeper = keeper
        book = RunBook(settings.state / "runs.sqlite")
        aggregates = Aggregates(settings.state / "aggregates")
        spool = settings.state / SPOOL
        courier = ClaimCourier(spool, book, aggregates, recorders.client)
        gate = SuperLinkGate(
            keeper, OpenJobs(reader), book, lambda job: aggregates.last(job) is not None, monitor
        )
        monitor.add_gauges(courier.totals)
        monitor.add_probe("chain", lambda: rpc.verify_chain(deployment.chain_id))
        monitor.add_probe("recorder", recorders.trouble)
        hooks = Hooks(gate, RoundWatch(courier.name), courier.begin, monitor)
        return cls(hooks, courier, monitor)


def _delegation(settings: Settings, reader: ChainReader, account: Address) -> Delegation | None:
    """Return the owner's word for the key; None where the key is the owner's own.

    Raises
    ------
    BadInputError
        The key is neither.
    """
    record = reader.record(settings.dt)
    if not record.exists:
        raise BadInputError(f"There is no DT {settings.dt} on this chain.")
    if settings.delegation is None:
        if account != record.owner:
            raise BadInputError(
                f"The key of {account} is not the owner's of DT {settings.dt[:10]}….",
                "Give the owner's keystore, or name the owner's --delegation.",
            )
        return None
    delegation = read_delegation(settings.delegation)
    check_delegation(
        delegation,
        chain_id=reader.network.chain_id,
        registry=reader.network.tokens,
        dt=settings.dt,
        owner=record.owner,
        node=account,
        now=int(time.time()),
    )
    return delegation

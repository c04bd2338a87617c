"""The maker's side, put together: chain, store, history, recorder, claims."""

import threading
import time
from typing import Self

from datatoken.authorization.decision import recorder_of
from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.history import HistoryStore
from datatoken.authorization.reasons import Reason, Refused
from datatoken.chain.deployment import Deployment
from datatoken.chain.reader import ChainReader
from datatoken.chain.signer import Signer
from datatoken.ddo.models import RecorderRef
from datatoken.errors import BadInputError
from datatoken.rounds.receipts import Delegation
from datatoken.service.client import LogFollower, RecorderClient
from datatoken.service.delegations import check_delegation, read_delegation
from datatoken.service.monitor import Monitor
from datatoken.service.recorders import MAX_ASKED
from datatoken.store import open_store
from datatoken.types import Address, Hex32
from fl_edge.superlink.claims import Aggregates, ClaimCourier
from fl_edge.superlink.gate import SuperLinkGate
from fl_edge.superlink.hooks import Hooks
from fl_edge.superlink.runs import RunBook
from fl_edge.superlink.settings import Settings
from fl_edge.superlink.watch import RoundWatch
from fl_edge.supernode.jobs import OpenJobs

RPC_SECONDS = 10.0
SPOOL = "spool"


class Recorders:
    """The recorders of jobs, as the verified documents name them.

    Parameters
    ----------
    signer : Signer
        The key of the settings.
    delegation : Delegation, optional
        The owner's word, where the key is not the owner's own.
    """

    def __init__(self, signer: Signer, delegation: Delegation | None) -> None:
        self._signer, self._delegation = signer, delegation
        self._clients: dict[tuple[Address, str], RecorderClient] = {}
        self._lock = threading.Lock()
        self.keeper: Gatekeeper | None = None

    def named(self, job: Hex32) -> RecorderRef:
        """Return the recorder that the documents of a job name; raise `Refused`."""
        assert self.keeper is not None
        tree = self.keeper.tree(job)
        for path in tree.paths(self.keeper.asset):
            if (found := recorder_of(tree.ddos, path)) is not None:
                return found
        raise Refused(Reason.RECORDER_MISMATCH, "The job's documents name no recorder.")

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
                )
            return self._clients[key]

    def trouble(self) -> str | None:
        """Ask the recorders of the jobs so far whether they are there; return why one is not."""
        with self._lock:
            clients = list(self._clients.values())[-MAX_ASKED:]
        return next((why for client in clients if (why := client.trouble())), None)


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
        recorders.keeper = keeper
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

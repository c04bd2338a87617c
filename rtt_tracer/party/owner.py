"""The owner's side of a party: chain, store, history, recorder, node key."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.history import HistoryStore
from datatoken.authorization.view import Network
from datatoken.chain.deployment import Deployment
from datatoken.chain.reader import ChainReader
from datatoken.chain.signer import Signer
from datatoken.errors import BadInputError, LocalEnvironmentError
from datatoken.rounds.receipts import Delegation
from datatoken.service.client import LogFollower
from datatoken.service.delegations import check_delegation, read_delegation
from datatoken.service.receipts import Outbox, ReceiptBook, salt_secret
from datatoken.service.recorders import Recorders
from datatoken.store import VerifyingStore, open_store
from datatoken.types import Hex32
from rtt_tracer.settings import PartySettings

RPC_SECONDS = 10.0
DRAIN_SECONDS = 15.0


@dataclass
class OwnerSide:
    """All that a party needs of its owner; one process at a time for each state folder."""

    dt: Hex32
    network: Network
    reader: ChainReader
    store: VerifyingStore
    signer: Signer
    delegation: Delegation
    history: HistoryStore
    recorders: Recorders
    gatekeeper: Gatekeeper
    book: ReceiptBook
    outbox: Outbox
    close: Callable[[], None]

    @classmethod
    def open(cls, settings: PartySettings) -> Self:
        """Read keys and files, ask the chain who the owner is, and put everything together.

        Raises
        ------
        DataTokenError
            BadInputError, KeystoreError, ChainUnreachableError, WrongChainError,
            LocalEnvironmentError: nothing was started.
        """
        state = Path(settings.state)
        _make_private(state)
        deployment = Deployment.load(Path(settings.deployment))
        profile, network = deployment.network_profile(), deployment.network()
        delegation = read_delegation(Path(settings.node.delegation))
        signer = Signer.from_keystore(
            Path(settings.node.key), settings.password(), stand_in=profile.stand_in
        )
        store = open_store(settings.store)
        rpc = deployment.connect(RPC_SECONDS, state)
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
        secret = salt_secret(state / "salt.key")
        history = HistoryStore(state / "history.sqlite")
        recorders = Recorders(signer, delegation)
        follower = LogFollower(recorders.client, reader, state / "log.sqlite", own=[settings.dt])
        gatekeeper = Gatekeeper(
            settings.dt, reader, store, history, follower, clock_bound=int(profile.clock_bound)
        )
        recorders.gatekeeper = gatekeeper

        def close() -> None:
            follower.close()
            history.close()
            rpc.close()

        return cls(
            dt=settings.dt,
            network=network,
            reader=reader,
            store=store,
            signer=signer,
            delegation=delegation,
            history=history,
            recorders=recorders,
            gatekeeper=gatekeeper,
            book=ReceiptBook(history, signer, delegation, secret),
            outbox=Outbox(history, recorders.post, recorders.account),
            close=close,
        )

    def drain(self, clock: Callable[[], float] = time.monotonic) -> bool:
        """Wait until the recorder has acknowledged all receipts; what is left waits on disk."""
        deadline = clock() + DRAIN_SECONDS
        self.outbox.wake()
        while self.history.outbox():
            if clock() > deadline:
                return False
            time.sleep(0.1)
        return True


def _make_private(state: Path) -> None:
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        state.chmod(0o700)
    except OSError as error:
        raise LocalEnvironmentError(
            f"The state folder {state} can't be used: {error.strerror}.",
            "Give a folder that this account may write to.",
        ) from None

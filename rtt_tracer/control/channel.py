"""The control channel of one party in one run."""

import queue
import threading
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

import structlog
from pydantic import ValidationError

from datatoken.authorization.reasons import Reason, Refused
from datatoken.errors import BadInputError
from datatoken.types import Hex32
from rtt_tracer.agreement.introductions import SignedIntroduction, certificate_digest
from rtt_tracer.control.messages import Message
from rtt_tracer.control.peer import Peer, share_head
from rtt_tracer.control.receiver import Incoming, Receiver
from rtt_tracer.control.shares import ShareFolder
from rtt_tracer.control.wire import MAX_SHARE_BYTES, Gone

log = structlog.get_logger(__name__)

SAY_SECONDS = 30.0
TELL_SECONDS = 3.0
SHARE_SECONDS = 600.0
GRACE_SECONDS = 10.0


class ControlChannel:
    """Says, hears and sends shares; whoever has no pinned certificate does not get in.

    The order of a run: `start` (there is a port to introduce), `meet` (the introductions are
    there, the peers are let in), `say` and `inbox`, `stop`. Use it as a context manager.

    Parameters
    ----------
    me : Hex32
        This party's DT.
    certificate, key : str
        Of this run, in PEM (`rtt_tracer.control.certificates.make_certificate`).
    host : str
        Address to listen on.
    ports : collection of int
        Tried in order; 0 takes a free one.
    shares : Path, optional
        Folder for shares: ``<shares>/<sender's dt>/<name>``. None: this party takes none.
    senders : collection of Hex32
        The DTs that may send shares.
    most_share_bytes : int
        Of all shares of one sender together.
    grace : float
        Seconds that a peer's connection may be away before it counts as gone.
    """

    def __init__(
        self,
        me: Hex32,
        certificate: str,
        key: str,
        *,
        host: str = "127.0.0.1",
        ports: Collection[int] = (0,),
        shares: Path | None = None,
        senders: Collection[Hex32] = (),
        most_share_bytes: int = MAX_SHARE_BYTES,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self.me, self._host, self._ports, self._grace = me, host, ports, grace
        self._certificate, self._key = certificate, key
        self.inbox: queue.Queue[Incoming] = queue.Queue()
        """(DT, what it says): `Message`, `ShareReceived` or `Gone`."""
        folder = None
        if shares is not None:
            folder = ShareFolder(shares, senders, most_bytes=most_share_bytes)
        self._receiver = Receiver(certificate, key, self.inbox, folder)
        self._peers: dict[Hex32, Peer] = {}
        self._watchers: list[threading.Thread] = []
        self._stopped = False

    def start(self) -> int:
        """Listen; return the port. Nobody is let in before `meet`.

        Raises
        ------
        LocalEnvironmentError
            When none of the ports is free.
        """
        return self._receiver.start(self._host, self._ports)

    def meet(self, introductions: Mapping[Hex32, SignedIntroduction]) -> None:
        """Pin the certificates of all other parties and connect to them.

        Parameters
        ----------
        introductions : mapping of Hex32 to SignedIntroduction
            Verified ones (`rtt_tracer.agreement.joining.known`), this party's own may be among
            them.

        Raises
        ------
        Refused
            AGREEMENT_MISMATCH when one certificate stands for two parties.
        """
        if self._peers:
            raise RuntimeError("the peers are known already")
        contacts = {
            dt: signed.introduction.control for dt, signed in introductions.items() if dt != self.me
        }
        digests = [certificate_digest(contact.certificate) for contact in contacts.values()]
        if len({*digests, certificate_digest(self._certificate)}) != len(digests) + 1:
            raise Refused(Reason.AGREEMENT_MISMATCH, "Two parties show the same certificate.")
        self._receiver.meet({dt: contact.certificate for dt, contact in contacts.items()})
        self._peers = {
            dt: Peer(dt, contact, self._certificate, self._key) for dt, contact in contacts.items()
        }
        for dt in self._peers:
            thread = threading.Thread(target=self._watch, args=(dt,), name="watch", daemon=True)
            thread.start()
            self._watchers.append(thread)

    def say(self, message: Message, to: Hex32 | None = None, timeout: float = SAY_SECONDS) -> None:
        """Send a message to all peers, or to one; return when all have it.

        Raises
        ------
        Refused
            PARTY_MISSING when a peer does not answer in time, PARTY_STOPPED when it refuses
            the message. Those that answered have it all the same.
        """
        peers = [self._peer(to)] if to is not None else list(self._peers.values())
        futures = [peer.say(message, timeout) for peer in peers]
        failures: list[Refused] = []
        for future in futures:
            try:
                future.result()
            except Refused as refused:
                failures.append(refused)
        if failures:
            raise failures[0]

    def tell(self, message: Message, timeout: float = TELL_SECONDS) -> list[Hex32]:
        """Send a last message to all peers, past what waits; return the DTs that have it.

        Never raises: who stops has nothing left to do about a peer that is away.
        """
        heard: list[Hex32] = []

        def one(peer: Peer) -> None:
            try:
                peer.tell(message, timeout)
                heard.append(peer.dt)
            except Refused as refused:
                log.info("peer not told", dt=peer.dt, code=refused.code)

        if self._peers:
            with ThreadPoolExecutor(len(self._peers), "tell") as pool:
                list(pool.map(one, self._peers.values()))
        return heard

    def send_share(self, dt: Hex32, name: str, path: Path, timeout: float = SHARE_SECONDS) -> None:
        """Send a file to one peer; when this returns, the peer has it on disk, verified.

        Raises
        ------
        Refused
            PARTY_MISSING when the peer does not answer in time, PARTY_STOPPED when it refuses.
        BadInputError
            When the file can't be read, or its name is none that a peer takes.
        """
        peer = self._peer(dt)
        try:
            head = share_head(name, path)
            peer.send_share(head, path, timeout)
        except ValidationError:
            raise BadInputError(f"No share can be named {name[:100]!r}.") from None
        except OSError as error:
            raise BadInputError(f"The share {name} can't be read: {error.strerror}.") from None

    @property
    def bytes_sent(self) -> int:
        """Bytes of messages and shares that have arrived at peers."""
        return sum(peer.bytes_sent for peer in self._peers.values())

    def heard(self, timeout: float) -> Incoming | None:
        """Return what comes in next, or None when nothing does within `timeout` seconds."""
        with suppress(queue.Empty):
            return self.inbox.get(timeout=max(0.0, timeout))
        return None

    def stop(self, grace: float = 1.0) -> None:
        """End all connections and close the port. Safe to repeat."""
        if self._stopped:
            return
        self._stopped = True
        for peer in self._peers.values():
            peer.close()
        self._receiver.stop(grace)
        end = time.monotonic() + grace
        for thread in self._watchers:
            thread.join(max(0.0, end - time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _peer(self, dt: Hex32) -> Peer:
        if dt not in self._peers:
            raise Refused(Reason.NOT_IN_JOB, f"DT {dt[:10]}… is no peer in this run.")
        return self._peers[dt]

    def _watch(self, dt: Hex32) -> None:
        def gone(sentence: str) -> None:
            if dt not in self._receiver.ended:
                self.inbox.put((dt, Gone(sentence)))

        self._peers[dt].watch(self._grace, lambda: dt in self._receiver.heard, gone)

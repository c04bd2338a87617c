"""The side of the SuperNode: flwr's Fleet API, answered by the gate.

The SuperNode is a stock one and gets what flwr's main loop gets in `fl_edge supernode`: messages
that were checked and admitted, the run rebuilt from the FAB, the FAB's checked bytes. An answer
can be lost on the way to it as well, so that each call can be made twice.

Of what the SuperNode says only replies go on, through the gate. Every other value that the
SuperLink gets is the proxy's own: an app that poses as the SuperNode could write rows into them.
"""

import binascii
import datetime
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import TypeVar

from flwr.common.constant import SYSTEM_TIME_TOLERANCE, TIMESTAMP_HEADER, TIMESTAMP_TOLERANCE
from flwr.common.serde import fab_to_proto, message_from_proto, message_to_proto, run_to_proto
from flwr.proto.fab_pb2 import GetFabRequest, GetFabResponse
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    ActivateNodeResponse,
    DeactivateNodeRequest,
    DeactivateNodeResponse,
    PullMessagesRequest,
    PullMessagesResponse,
    PushMessagesRequest,
    PushMessagesResponse,
    Reconnect,
    RegisterNodeFleetRequest,
    RegisterNodeFleetResponse,
    UnregisterNodeFleetRequest,
    UnregisterNodeFleetResponse,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest, SendNodeHeartbeatResponse
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ConfirmMessageReceivedResponse,
    PullObjectRequest,
    PullObjectResponse,
    PushObjectRequest,
    PushObjectResponse,
)
from flwr.proto.run_pb2 import GetRunRequest, GetRunResponse
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.date import now
from flwr.supercore.primitives.asymmetric import bytes_to_public_key, verify_signature
from flwr.supercore.run import RunNotRunningException
from google.protobuf.message import Message as Proto

from fl_edge.gate_proxy.uplink import Uplink
from fl_edge.supernode.seam import Link, Received

T = TypeVar("T")
NOT_THE_NODE = "This gate proxy serves another SuperNode, or the request is not signed by it."


class NotTheNodeError(Exception):
    """A call that is not the SuperNode's."""


class NotAtHandError(Exception):
    """A confirmation of a message that the SuperNode has not got."""


class Fleet:
    """Answers the calls of one SuperNode.

    Parameters
    ----------
    uplink : Uplink
        The SuperLink's side.
    make_gate : callable
        Gets the real link and returns the gate's.
    allowed : bytes, optional
        The only SuperNode's public key. Without one the newest that comes is the SuperNode.
    clock : callable
        Returns seconds, for how long an app takes.
    """

    def __init__(
        self,
        uplink: Uplink,
        make_gate: Callable[[Link], Link],
        allowed: bytes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uplink, self._make_gate, self._allowed = uplink, make_gate, allowed
        self._clock = clock
        self._key: bytes | None = None
        self._link: Link | None = None
        self._at_hand: Received | None = None
        self._taken: tuple[str, float] = "", 0.0
        self._answered: tuple[str, PushMessagesResponse] | None = None
        self._pulling, self._coming = threading.Lock(), threading.Lock()
        self.calls: Mapping[str, tuple[type[Proto], Callable[..., Proto]]] = {
            "register-node": (RegisterNodeFleetRequest, self._register),
            "activate-node": (ActivateNodeRequest, self._activate),
            "deactivate-node": (DeactivateNodeRequest, self._deactivate),
            "unregister-node": (UnregisterNodeFleetRequest, self._unregister),
            "send-node-heartbeat": (SendNodeHeartbeatRequest, self._heartbeat),
            "pull-messages": (PullMessagesRequest, self._pull_messages),
            "push-messages": (PushMessagesRequest, self._push_messages),
            "get-run": (GetRunRequest, self._get_run),
            "get-fab": (GetFabRequest, self._get_fab),
            "pull-object": (PullObjectRequest, self._pull_object),
            "push-object": (PushObjectRequest, self._push_object),
            "confirm-message-received": (ConfirmMessageReceivedRequest, self._confirm),
        }

    def answer(self, name: str, body: bytes, headers: Mapping[str, str]) -> Proto:
        """Answer one call.

        Raises
        ------
        KeyError
            The Fleet API has no such call.
        NotTheNodeError, NotAtHandError, RunNotRunningException
        google.protobuf.message.DecodeError
        """
        kind, handle = self.calls[name]
        request = kind()
        request.ParseFromString(body)
        key = signed_by(headers)
        if isinstance(request, (RegisterNodeFleetRequest, ActivateNodeRequest)):
            if request.public_key != key or self._allowed not in (None, key):
                raise NotTheNodeError
        elif key != self._key or _node_of(request) != self.link.node_id:
            raise NotTheNodeError
        return handle(request)

    @property
    def link(self) -> Link:
        """The gate's link, once a SuperNode has come."""
        if self._link is None:
            raise NotTheNodeError
        return self._link

    # --- coming and going

    def _register(self, request: RegisterNodeFleetRequest) -> Proto:
        return RegisterNodeFleetResponse()  # with the SuperLink the proxy registers itself

    def _activate(self, request: ActivateNodeRequest) -> Proto:
        with self._coming:
            self._key, self._link = None, None
            real = self._uplink.open()
            with self._pulling:  # a pull of the SuperNode before has ended: nothing of it is left
                self._at_hand, self._answered, self._taken = None, None, ("", 0.0)
                self._link, self._key = self._make_gate(real), request.public_key
            return ActivateNodeResponse(node_id=real.node_id)

    def _deactivate(self, request: DeactivateNodeRequest) -> Proto:
        self._uplink.close()
        return DeactivateNodeResponse()

    def _unregister(self, request: UnregisterNodeFleetRequest) -> Proto:
        self._key, self._link = None, None
        return UnregisterNodeFleetResponse()

    def _heartbeat(self, request: SendNodeHeartbeatRequest) -> SendNodeHeartbeatResponse:
        return self._uplink.heartbeat()

    # --- in

    def _pull_messages(self, request: PullMessagesRequest) -> Proto:
        with self._pulling:
            if self._at_hand and not self._uplink.runs(self._at_hand[0].metadata.run_id):
                self._at_hand = None
            if self._at_hand is None:
                self._at_hand = self.link.receive()
            if self._at_hand is None:
                return PullMessagesResponse()
            message, tree = self._at_hand
        return PullMessagesResponse(
            messages_list=[message_to_proto(message)], message_object_trees=[tree]
        )

    def _get_run(self, request: GetRunRequest) -> Proto:
        return GetRunResponse(run=run_to_proto(_known(self.link.get_run, request.run_id)))

    def _get_fab(self, request: GetFabRequest) -> Proto:
        fab = _known(self.link.get_fab, request.hash_str, request.run_id)
        return GetFabResponse(fab=fab_to_proto(fab))

    def _pull_object(self, request: PullObjectRequest) -> Proto:
        try:
            content = self.link.pull_object(request.run_id, request.object_id)
        except KeyError:
            return PullObjectResponse(object_found=False, object_available=False)
        return PullObjectResponse(object_found=True, object_available=True, object_content=content)

    def _confirm(self, request: ConfirmMessageReceivedRequest) -> Proto:
        said = request.message_object_id
        with self._pulling:
            if self._is_at_hand(said, request.run_id):
                self._take()
            elif said != self._taken[0]:  # a second time for the last one changes nothing
                raise NotAtHandError
        return ConfirmMessageReceivedResponse()

    def _is_at_hand(self, message_id: str, run_id: int) -> bool:
        if self._at_hand is None:
            return False
        metadata = self._at_hand[0].metadata
        return (metadata.message_id, metadata.run_id) == (message_id, run_id)

    def _take(self) -> None:
        """Note that the message at hand has arrived, and confirm it by its own ids."""
        if self._at_hand is None:
            return
        metadata, self._at_hand = self._at_hand[0].metadata, None
        self._taken = metadata.message_id, self._clock()
        self.link.confirm(metadata.run_id, metadata.message_id)

    # --- out

    def _push_messages(self, request: PushMessagesRequest) -> Proto:
        message, tree = (
            message_from_proto(request.messages_list[0]),
            request.message_object_trees[0],
        )
        said, to = message.metadata.message_id, message.metadata.reply_to_message_id
        with self._pulling:
            if self._answered is not None and self._answered[0] == said:
                return self._answered[1]
            if self._is_at_hand(to, message.metadata.run_id):  # flwr can answer unconfirmed
                self._take()
            wanted, session = self.link.send(message, tree, self._runtime(to))
            response = PushMessagesResponse(
                reconnect=Reconnect(reconnect=5),
                results={said: 0},
                objects_to_push=sorted(wanted),
                session_id=session,
            )
            self._answered = said, response
        return response

    def _runtime(self, message_id: str) -> float:
        """Return the seconds since a message was taken, to a tenth."""
        taken, at = self._taken
        return round(self._clock() - at, 1) if taken == message_id else 0.0

    def _push_object(self, request: PushObjectRequest) -> Proto:
        self.link.push_object(
            request.run_id, request.session_id, request.object_id, request.object_content
        )
        return PushObjectResponse(stored=True)


def signed_by(headers: Mapping[str, str]) -> bytes:
    """Return the key that has signed a call, as flwr's SuperLink checks it.

    Raises
    ------
    NotTheNodeError
    """
    try:
        key = b64decode(headers[FLEET_HTTP_PUBLIC_KEY_HEADER], validate=True)
        signature = b64decode(headers[FLEET_HTTP_SIGNATURE_HEADER], validate=True)
        timestamp = headers[TIMESTAMP_HEADER]
        age = (now() - datetime.datetime.fromisoformat(timestamp)).total_seconds()
        fresh = -SYSTEM_TIME_TOLERANCE < age < TIMESTAMP_TOLERANCE + SYSTEM_TIME_TOLERANCE
        if fresh and verify_signature(bytes_to_public_key(key), timestamp.encode(), signature):
            return key
    except (KeyError, ValueError, TypeError, binascii.Error):
        pass
    raise NotTheNodeError


def _node_of(request: Proto) -> int:
    node = getattr(request, "node", None)
    return int(node.node_id if node is not None else request.node_id)  # type: ignore[attr-defined]


def _known(call: Callable[..., T], *arguments: object) -> T:
    """Ask the gate for a run; one without an admitted message is none that runs."""
    try:
        return call(*arguments)
    except KeyError:
        raise RunNotRunningException from None

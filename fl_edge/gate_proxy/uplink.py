"""The side of the SuperLink: flwr's own Fleet client, as the link that a gate wraps."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.app.message import remove_content_from_message
from flwr.common.constant import HEARTBEAT_DEFAULT_INTERVAL
from flwr.common.serde import fab_from_proto, message_from_proto, message_to_proto, run_from_proto
from flwr.proto.fab_pb2 import GetFabRequest
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
    RegisterNodeFleetRequest,
    UnregisterNodeFleetRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest, SendNodeHeartbeatResponse
from flwr.proto.message_pb2 import ObjectTree
from flwr.proto.node_pb2 import Node
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_confirm_message_received_fn_protobuf,
    make_pull_object_fn_protobuf,
    make_push_object_fn_protobuf,
)
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import generate_key_pairs, public_key_to_bytes
from flwr.supercore.run import Run, RunNotRunningException
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from fl_edge.supernode.seam import Link, Received

log = structlog.get_logger(__name__)

AWAY = (502, 503, 504)
MAX_PAUSE = 10.0
HEARTBEAT_PAUSE, FAILED_HEARTBEAT_PAUSE = 10.0, 1.0
"""Seconds between heartbeats at least; flwr's own come every 17 to 23."""
T = TypeVar("T")


class StoppedError(Exception):
    """The proxy does not ask the SuperLink, because it is ending or has just asked in vain."""


class Uplink:
    """The connection to a SuperLink.

    Parameters
    ----------
    address : str
        host:port.
    root_certificates : bytes, optional
        PEM; those of public authorities by default.
    key : private key, optional
        By which the SuperLink knows the node; without one the node registers a new key
        whenever a SuperNode comes.
    clock : callable
        Returns seconds, for the pace of heartbeats.
    """

    def __init__(
        self,
        address: str,
        *,
        insecure: bool = False,
        root_certificates: bytes | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address, self._insecure, self._roots = address, insecure, root_certificates
        self._known = key
        self._client: FleetHttpClient | None = None
        self._node: Node | None = None
        self._clock, self._beating = clock, threading.Lock()
        self._beat: SendNodeHeartbeatResponse | None = None
        self._next_beat = clock()
        self._stop = threading.Event()

    def open(self) -> Link:
        """Come on line as a node; return the link.

        Raises
        ------
        httpx.HTTPError
            What the SuperLink answers, or that it does not.
        """
        self.close()
        private, public = (
            (self._known, self._known.public_key()) if self._known else generate_key_pairs()
        )
        raw = public_key_to_bytes(public)
        client = FleetHttpClient.from_server_address(
            self._address,
            self._insecure,
            self._roots,
            interceptors=[
                RuntimeVersionHttpInterceptor(component_name="SuperNode"),
                NodeAuthHttpInterceptor(private, public),
            ],
        )
        if self._known is None:
            client.RegisterNode(RegisterNodeFleetRequest(public_key=raw))
        request = ActivateNodeRequest(public_key=raw, heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL)
        node = Node(node_id=client.ActivateNode(request).node_id)
        with self._beating:
            self._beat, self._next_beat = None, self._clock()
            self._client, self._node = client, node
        return self._link(client, node)

    def close(self) -> None:
        """Go off line; nothing happens without a connection."""
        client, node = self._client, self._node
        self._client = self._node = None
        if client is None or node is None:
            return
        try:
            client.DeactivateNode(DeactivateNodeRequest(node_id=node.node_id))
            if self._known is None:
                client.UnregisterNode(UnregisterNodeFleetRequest(node_id=node.node_id))
        except (httpx.HTTPError, RuntimeError) as error:
            log.info("not signed off", error=type(error).__name__)
        finally:
            client.close()

    def end_waits(self) -> None:
        """End all that waits for the SuperLink."""
        self._stop.set()

    def stop(self) -> None:
        """End all that waits for the SuperLink, and go off line."""
        self.end_waits()
        self.close()

    def heartbeat(self) -> SendNodeHeartbeatResponse:
        """Tell the SuperLink that the SuperNode is there, at a pace of our own.

        Of faster ones the SuperLink does not hear: they get the last answer.

        Raises
        ------
        StoppedError
            The last one has just failed.
        httpx.HTTPError
        """
        client, node = self._client, self._node
        if client is None or node is None:
            return SendNodeHeartbeatResponse(success=False)
        with self._beating:
            if self._clock() < self._next_beat:
                if self._beat is None:
                    raise StoppedError
                return self._beat
            self._beat, self._next_beat = None, self._clock() + FAILED_HEARTBEAT_PAUSE
            self._beat = client.SendNodeHeartbeat(
                SendNodeHeartbeatRequest(node=node, heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL)
            )
            self._next_beat = self._clock() + HEARTBEAT_PAUSE
            return self._beat

    def runs(self, run_id: int) -> bool:
        """Tell whether a run still runs; it does where the SuperLink does not answer."""
        client, node = self._client, self._node
        if client is None or node is None:
            return True
        try:
            _running(client.GetRun, GetRunRequest(node=node, run_id=run_id))
        except RunNotRunningException:
            return False
        except httpx.HTTPError:
            pass
        return True

    def _link(self, client: FleetHttpClient, node: Node) -> Link:
        again = self._again

        def receive() -> Received | None:
            # One try: the SuperNode asks again.
            response = _running(client.PullMessages, PullMessagesRequest(node=node))
            if not response.messages_list:
                return None
            return message_from_proto(response.messages_list[0]), response.message_object_trees[0]

        def send(message: Message, tree: ObjectTree, runtime: float) -> tuple[set[str], str]:
            bare = remove_content_from_message(message) if message.has_content() else message
            request = PushMessagesRequest(
                node=node,
                messages_list=[message_to_proto(bare)],
                message_object_trees=[tree],
                clientapp_runtime_list=[runtime],
            )
            response = again(client.PushMessages, request)
            return set(response.objects_to_push), str(response.session_id)

        def get_run(run_id: int) -> Run:
            return run_from_proto(again(client.GetRun, GetRunRequest(node=node, run_id=run_id)).run)

        def get_fab(fab_hash: str, run_id: int) -> Fab:
            request = GetFabRequest(node=node, hash_str=fab_hash, run_id=run_id)
            return fab_from_proto(again(client.GetFab, request).fab)

        def pull_object(run_id: int, object_id: str) -> bytes:
            def call(request: Any) -> Any:
                return again(client.PullObject, request)

            return make_pull_object_fn_protobuf(call, node, run_id)(object_id)

        def push_object(run_id: int, session: str, object_id: str, content: bytes) -> None:
            def call(request: Any) -> Any:
                return again(client.PushObject, request)

            make_push_object_fn_protobuf(call, node, run_id, session)(object_id, content)

        def confirm(run_id: int, message_id: str) -> None:
            def call(request: Any) -> Any:
                return again(client.ConfirmMessageReceived, request)

            make_confirm_message_received_fn_protobuf(call, node, run_id)(message_id)

        return Link(
            node.node_id, receive, send, get_run, get_fab, pull_object, push_object, confirm
        )

    def _again(self, call: Callable[[Any], T], request: Any) -> T:
        """Call until the SuperLink answers, as flwr's own SuperNode does.

        Raises
        ------
        StoppedError, httpx.HTTPStatusError, RunNotRunningException
        """
        pause = 0.5
        while True:
            try:
                return _running(call, request)
            except httpx.HTTPStatusError as error:
                if error.response.status_code not in AWAY:
                    raise
            except httpx.TransportError as error:
                log.warning("no answer of the SuperLink", error=type(error).__name__)
            if self._stop.wait(pause):
                raise StoppedError
            pause = min(pause * 2, MAX_PAUSE)


def _running(call: Callable[[Any], T], request: Any) -> T:
    """Call once; a run that has ended is flwr's own exception."""
    try:
        return call(request)
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.FORBIDDEN:
            raise RunNotRunningException from None
        raise

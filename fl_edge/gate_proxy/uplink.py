"""The side of the SuperLink: flwr's own Fleet client, as the link that a gate wraps."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    load_ssh_private_key,
    load_ssh_public_key,
)
from flwr.app import Message
from flwr.app.message import remove_content_from_message
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
from flwr.supercore.primitives.asymmetric import (
    generate_key_pairs,
    public_key_to_bytes,
    uses_nist_ec_curve,
)
from flwr.supercore.run import Run, RunNotRunningException
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from datatoken.errors import BadInputError
from fl_edge.supernode.seam import Link, Received

log = structlog.get_logger(__name__)

AWAY = (502, 503, 504)
MAX_PAUSE = 10.0
T = TypeVar("T")


class StoppedError(Exception):
    """The proxy is ending."""


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
    """

    def __init__(
        self,
        address: str,
        *,
        insecure: bool = False,
        root_certificates: bytes | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> None:
        self._address, self._insecure, self._roots = address, insecure, root_certificates
        self._known = key
        self._client: FleetHttpClient | None = None
        self._node: Node | None = None
        self._stop = threading.Event()

    def open(self, heartbeat_interval: float) -> Link:
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
        request = ActivateNodeRequest(public_key=raw, heartbeat_interval=heartbeat_interval)
        node = Node(node_id=client.ActivateNode(request).node_id)
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

    def stop(self) -> None:
        """End all that waits for the SuperLink, and go off line."""
        self._stop.set()
        self.close()

    def heartbeat(self, interval: float) -> SendNodeHeartbeatResponse:
        """Pass on that the SuperNode is there."""
        client, node = self._client, self._node
        if client is None or node is None:
            return SendNodeHeartbeatResponse(success=False)
        return client.SendNodeHeartbeat(
            SendNodeHeartbeatRequest(node=node, heartbeat_interval=interval)
        )

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


def read_private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return a SuperNode's private key.

    Raises
    ------
    BadInputError
    """
    found = _read(path, lambda content: load_ssh_private_key(content, None))
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise _no_key(path)
    return found


def read_public_key(path: Path) -> bytes:
    """Return a SuperNode's public key, as flwr sends it.

    Raises
    ------
    BadInputError
    """
    found = _read(path, load_ssh_public_key)
    if not isinstance(found, ec.EllipticCurvePublicKey) or not uses_nist_ec_curve(found):
        raise _no_key(path)
    return public_key_to_bytes(found)


def _read(path: Path, parse: Callable[[bytes], object]) -> object:
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise BadInputError(
            f"The key {path} can't be read: {os.strerror(error.errno or 0)}."
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise _no_key(path) from None


def _no_key(path: Path) -> BadInputError:
    return BadInputError(
        f"{path} is no key of a SuperNode.", "Make one: ssh-keygen -t ecdsa -b 384 -N '' -f FILE."
    )

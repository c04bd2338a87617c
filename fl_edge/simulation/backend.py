"""Where simulated clients compute: on Ray's workers or in this process, behind their gates."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp
from flwr.clientapp.client_app import ClientAppException, LoadClientAppError
from flwr.common.constant import PARTITION_ID_KEY, ErrorCode

from datatoken.authorization.reasons import Refused
from datatoken.types import Scalar
from fl_edge.simulation.gates import ClientGates, refused_reply

NodeConfig = Callable[[int], Mapping[str, Scalar]]
Answered = Callable[[str, str | None], None]
"""Called with a message's id, and why it has no answer but an error."""

MAX_ERROR = 300


class Backend(Protocol):
    """What flwr's engine asks of a backend."""

    @property
    def num_workers(self) -> int:
        """How many messages are worked on at once."""
        ...

    def build(self, app_fn: Callable[[], ClientApp]) -> None:
        """Get ready."""
        ...

    def process_message(self, message: Message, context: Context) -> tuple[Message, Context]:
        """Answer one message as one client."""
        ...

    def terminate(self) -> None:
        """Give everything back."""
        ...


class InlineBackend:
    """Runs the ClientApp in this process, one message after another: no Ray, little memory."""

    num_workers = 1

    def build(self, app_fn: Callable[[], ClientApp]) -> None:
        """Load the app."""
        self._app = app_fn()

    def process_message(self, message: Message, context: Context) -> tuple[Message, Context]:
        """Answer one message; the app gets a copy, as it would from a network."""
        try:
            return self._app(copy.deepcopy(message), context), context
        except (Exception, SystemExit) as error:
            raise ClientAppException(str(error)) from error

    def terminate(self) -> None:
        """Nothing is held."""

    def is_worker_idle(self) -> bool:
        """Tell that a message can be taken."""
        return True


class GatedBackend:
    """Puts each client's gate before a backend, and its reply policy behind.

    Parameters
    ----------
    inner : Backend
    gates : ClientGates, optional
        None for a bare simulation.
    node_config : callable
        Returns what a client's node configuration holds beside flwr's own keys.
    answered : Answered
        Called after each message.
    """

    def __init__(
        self,
        inner: Backend,
        gates: ClientGates | None,
        node_config: NodeConfig,
        answered: Answered,
    ) -> None:
        self._inner, self._gates = inner, gates
        self._node_config, self._answered = node_config, answered

    @property
    def num_workers(self) -> int:
        """How many messages are worked on at once."""
        return self._inner.num_workers

    def build(self, app_fn: Callable[[], ClientApp]) -> None:
        """Get ready."""
        self._inner.build(app_fn)

    def process_message(self, message: Message, context: Context) -> tuple[Message, Context]:
        """Answer one message, where its client's gate lets it in and the reply out."""
        client = int(context.node_config[PARTITION_ID_KEY])
        context.node_config.update(self._node_config(client))
        error: str | None = "no answer"
        try:
            if self._gates is None:
                found = self._inner.process_message(message, context)
            else:
                found = self._gated(self._gates, client, message, context)
            error = _error_in(found[0])
            return found
        finally:
            self._answered(message.metadata.message_id, error)

    def _gated(
        self, gates: ClientGates, client: int, message: Message, context: Context
    ) -> tuple[Message, Context]:
        try:
            lease = gates.admit(client, message)
            try:
                reply, context = self._inner.process_message(message, context)
            except Exception as error:
                reply = _failed(error, message)
            gates.inspect(client, lease, message, reply)
        except Refused as refusal:
            return refused_reply(refusal, message), context
        return reply, context

    def is_worker_idle(self) -> bool:
        """Tell whether a message can be taken."""
        idle: Any = getattr(self._inner, "is_worker_idle", lambda: True)
        return bool(idle())

    def terminate(self) -> None:
        """Give everything back."""
        self._inner.terminate()


def _failed(error: Exception, request: Message) -> Message:
    """Return a failure as the error reply of an app's process; the exception's text stays here."""
    if isinstance(error, LoadClientAppError):
        code = ErrorCode.LOAD_CLIENT_APP_EXCEPTION
    elif isinstance(error, ClientAppException):
        code = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
    else:
        code = ErrorCode.CLIENT_APP_CRASHED
    return Message(Error(int(code)), reply_to=request)


def _error_in(reply: Message) -> str | None:
    if not reply.has_error():
        return None
    return str(reply.error.reason or f"error {reply.error.code}")[:MAX_ERROR]

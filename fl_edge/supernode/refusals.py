"""Refusals as Flower messages: a code and a sentence, and nothing of the owner's in it."""

from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree

from datatoken.authorization.reasons import HINTS, Reason, Refused
from fl_edge.messages import MalformedMessageError

PREFIX = "refused by data owner: "
MAX_TEXT = 400

FAILURES: dict[int, str] = {
    ErrorCode.LOAD_CLIENT_APP_EXCEPTION: "The app could not be loaded.",
    ErrorCode.CLIENT_APP_RAISED_EXCEPTION: "The app raised an exception.",
    ErrorCode.MOD_FAILED_PRECONDITION: "A mod of the app failed.",
    ErrorCode.CLIENT_APP_CRASHED: "The app stopped without an answer.",
}


class AppFailedError(Refused):
    """The app answered with an error; only its code leaves, and only a code that flwr has."""

    def __init__(self, error: Error) -> None:
        known = error.code in FAILURES
        super().__init__(Reason.APP_FAILED, FAILURES.get(error.code, "The app failed."))
        self.error_code = error.code if known else int(ErrorCode.UNKNOWN)
        self.detail = str(error.reason or "")


def public_text(refusal: Refused) -> str:
    """Return what a server is told: ``refused by data owner: <REASON>: <sentence>``."""
    text = f"{PREFIX}{refusal.reason.value}: {refusal.public} {HINTS[refusal.reason]}"
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def refusal_of(error: Exception) -> Refused:
    """Return any exception as a refusal: what can't be understood is refused."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, MalformedMessageError):
        return Refused(Reason.MALFORMED_MESSAGE, error.message)
    return Refused(
        Reason.MALFORMED_MESSAGE, f"The message or its run can't be read ({type(error).__name__})."
    )


def error_reply(refusal: Refused, request: Message) -> tuple[Message, ObjectTree, dict[str, bytes]]:
    """Return (envelope, tree, objects) of the error reply to `request`."""
    code = refusal.error_code if isinstance(refusal, AppFailedError) else ErrorCode.INVALID_FAB
    reply = Message(Error(int(code), public_text(refusal)), reply_to=request)
    reply.metadata.__dict__["_message_id"] = reply.object_id
    objects = {key: value.deflate() for key, value in get_all_nested_objects(reply).items()}
    return reply, get_object_tree(reply), objects

"""HTTP for the SuperNode: protobuf bodies in, protobuf bodies out, nothing but the Fleet API."""

import socket
from collections.abc import Callable
from types import FrameType

import httpx
import structlog
import uvicorn
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supercore.run import RunNotRunningException
from google.protobuf.message import DecodeError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fl_edge.gate_proxy.fleet import NOT_THE_NODE, Fleet, NotAtHandError, NotTheNodeError
from fl_edge.gate_proxy.uplink import StoppedError
from fl_edge.messages.objects import MAX_BYTES

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/protobuf"
MAX_BODY = MAX_BYTES + 1024 * 1024
ENDED = "The run is not running."


class Server(uvicorn.Server):
    """A server whose calls stop waiting for the SuperLink as soon as it is told to end.

    A call that waits on would hold up the end of the process for as long as the SuperLink is
    away.
    """

    def __init__(self, config: uvicorn.Config, on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_exit = on_exit

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        if self.started:
            log.info("gate proxy listens", host=self.config.host, port=self.config.port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle SIGTERM or SIGINT."""
        self._on_exit()
        super().handle_exit(sig, frame)


def make_app(fleet: Fleet) -> Starlette:
    """Return the application that serves a SuperNode."""

    async def call(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in fleet.calls:
            return JSONResponse({"detail": "Not Found"}, 404)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                return JSONResponse({"detail": "The body is too large."}, 413)
        return await run_in_threadpool(_answer, fleet, name, bytes(body), dict(request.headers))

    return Starlette(routes=[Route("/v1/fleet/{name}", call, methods=["POST"])])


def _answer(fleet: Fleet, name: str, body: bytes, headers: dict[str, str]) -> Response:
    """Answer one call; every failure has a status that a stock SuperNode understands."""
    try:
        answered = fleet.answer(name, body, headers)
    except NotTheNodeError:
        return JSONResponse({"detail": NOT_THE_NODE}, 401)
    except RunNotRunningException:
        error = FlowerError(ApiErrorCode.FLEET_RUN_STATUS_NOT_ALLOWED, ENDED)
        return JSONResponse(error.to_json(ENDED), 403)
    except NotAtHandError:
        return JSONResponse({"detail": "No such message is at hand."}, 404)
    except (DecodeError, IndexError):
        return JSONResponse({"detail": "The request is not of the Fleet API."}, 400)
    except httpx.HTTPStatusError as error:  # the SuperLink's own words
        answer = error.response
        return Response(answer.content, answer.status_code, media_type="application/json")
    except (httpx.TransportError, StoppedError) as error:
        log.warning("no answer of the SuperLink", call=name, error=type(error).__name__)
        return JSONResponse({"detail": "The SuperLink does not answer."}, 503)
    return Response(answered.SerializeToString(), media_type=MEDIA_TYPE)

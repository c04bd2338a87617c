"""A SuperLink's Control API: start a run, follow its log, ask how it ended."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from flwr.common.constant import SubStatus
from flwr.common.serde import fab_to_proto, run_from_proto, user_config_to_proto
from flwr.proto.control_pb2 import (
    ListRunsRequest,
    StartRunRequest,
    StopRunRequest,
    StreamLogsRequest,
)
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.error import FlowerError
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

from datatoken.errors import BadInputError, LocalEnvironmentError
from datatoken.types import Scalar, sha256_hex
from fl_edge.control.outcome import RunEndedError

MAX_BREAKS = 20


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    completed: bool
    details: str
    stopped: bool = False


class SuperLink:
    """One SuperLink.

    Parameters
    ----------
    address : str
        host:port.
    insecure : bool
        No TLS.
    root_certificates : Path, optional
        CA certificates (PEM).

    Raises
    ------
    BadInputError
        When the certificates cannot be read.
    """

    def __init__(
        self, address: str, *, insecure: bool = False, root_certificates: Path | None = None
    ) -> None:
        self.address = address
        try:
            self._client = ControlHttpClient.from_server_address(
                server_address=address,
                insecure=insecure,
                root_certificates=root_certificates.read_bytes() if root_certificates else None,
                interceptors=[RuntimeVersionHttpInterceptor(component_name="fl-edge run")],
            )
        except (OSError, ValueError) as error:
            raise BadInputError(f"The certificates can't be used: {error}.") from None

    def reach(self, seconds: float) -> None:
        """Wait until the SuperLink answers: one that was just started takes a moment.

        Raises
        ------
        LocalEnvironmentError
            When it does not, within so many seconds.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._client.ListRuns(ListRunsRequest())
                return
            except httpx.HTTPStatusError:
                return  # it answers; what it says matters later
            except httpx.RequestError as error:
                if time.monotonic() >= deadline:
                    raise self._silent(error) from None
            time.sleep(0.5)

    def start(self, fab: bytes, overrides: Mapping[str, Scalar]) -> int:
        """Start a run and return its id.

        Raises
        ------
        RunEndedError
            When the SuperLink refuses it.
        LocalEnvironmentError
            When it does not answer.
        """
        request = StartRunRequest(
            fab=fab_to_proto(Fab(sha256_hex(fab)[2:], fab, {})),
            override_config=user_config_to_proto(dict(overrides)),
        )
        try:
            response = self._client.StartRun(request)
        except httpx.HTTPStatusError as error:
            raise RunEndedError(_said(error), started=False) from None
        except httpx.RequestError as error:
            raise self._silent(error) from None
        if not response.HasField("run_id"):
            raise RunEndedError("The SuperLink did not start the run.", started=False)
        return int(response.run_id)

    def log(self, run: int) -> Iterator[str]:
        """Yield a run's log until the run is over; a broken stream is taken up again.

        Raises
        ------
        LocalEnvironmentError
            When the SuperLink does not answer any more.
        """
        seen, breaks = 0.0, 0
        while True:
            try:
                request = StreamLogsRequest(run_id=run, after_timestamp=seen)
                for part in self._client.StreamLogs(request):
                    seen, breaks = max(seen, part.latest_timestamp), 0
                    yield part.log_output
                return
            except httpx.HTTPStatusError as error:
                raise RunEndedError(_said(error), started=True) from None
            except httpx.ReadTimeout:
                continue  # a long round is silent
            except httpx.RequestError as error:
                breaks += 1
                if breaks > MAX_BREAKS or isinstance(error, httpx.ConnectError):
                    raise self._silent(error) from None

    def outcome(self, run: int) -> Ended | None:
        """Return how a run ended, None while it runs.

        Raises
        ------
        LocalEnvironmentError
        """
        try:
            found = self._client.ListRuns(ListRunsRequest(run_id=run)).run_dict.get(run)
        except httpx.HTTPStatusError as error:
            raise RunEndedError(_said(error), started=True) from None
        except httpx.RequestError as error:
            raise self._silent(error) from None
        if found is None:
            raise RunEndedError(f"The SuperLink does not know run {run}.", started=True)
        status = run_from_proto(found).status
        if not status.sub_status:
            return None
        return Ended(
            status.sub_status == SubStatus.COMPLETED,
            status.details,
            stopped=status.sub_status == SubStatus.STOPPED,
        )

    def stop(self, run: int) -> None:
        """Stop a run; one that has ended is left alone.

        Raises
        ------
        LocalEnvironmentError
            When the SuperLink does not answer.
        """
        try:
            self._client.StopRun(StopRunRequest(run_id=run))
        except httpx.HTTPStatusError:
            return  # it has ended, or is not known any more: `outcome` says which
        except httpx.RequestError as error:
            raise self._silent(error) from None

    def _silent(self, error: httpx.RequestError) -> LocalEnvironmentError:
        return LocalEnvironmentError(
            f"The SuperLink at {self.address} does not answer ({type(error).__name__}).",
            "Check its address, and --insecure or --root-certificates.",
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()


def _said(error: httpx.HTTPStatusError) -> str:
    """Return what a SuperLink says of a request that it refuses."""
    found = FlowerError.from_json(error.response.text)
    if found is None:
        return f"The SuperLink answered {error.response.status_code}."
    return found.public_details or found.message

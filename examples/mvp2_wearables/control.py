"""A client of a SuperLink's Control API that sends any FAB it likes, as a hostile maker would.

``fl-edge run`` is what honest makers use. This asks nobody: it is for the refusals, and for
the bare engine of the benchmark.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

from datatoken.errors import RunFailedError
from datatoken.types import Scalar

POLL = 0.2


@dataclass(frozen=True)
class Ended:
    """How a run ended: flwr's status, the reason, and the ServerApp's log."""

    run: int
    status: str
    details: str
    log: str
    seconds: float


class Control:
    """Talks to one SuperLink (without TLS: this machine only)."""

    def __init__(self, address: str) -> None:
        from flwr.cli.cli_client_interceptor import CliClientHttpInterceptor
        from flwr.supercore.control.control_http_client import ControlHttpClient
        from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor

        self._client = ControlHttpClient.from_server_address(
            server_address=address,
            insecure=True,
            root_certificates=None,
            interceptors=[
                CliClientHttpInterceptor(),
                RuntimeVersionHttpInterceptor(component_name="flwr CLI"),
            ],
        )

    def submit(self, fab: bytes, overrides: Mapping[str, Scalar]) -> int:
        """Start a run; return its id.

        Raises
        ------
        RunFailedError
            With what the SuperLink says.
        """
        from flwr.common.serde import fab_to_proto, user_config_to_proto
        from flwr.proto.control_pb2 import StartRunRequest
        from flwr.supercore.fab import Fab

        request = StartRunRequest(
            fab=fab_to_proto(Fab(hashlib.sha256(fab).hexdigest(), fab, {})),
            override_config=user_config_to_proto(dict(overrides)),
        )
        try:
            return int(self._client.StartRun(request).run_id)
        except Exception as error:  # flwr raises several types, each with the reason inside
            raise RunFailedError(_public(error)) from error

    def status(self, run: int) -> tuple[str, str]:
        """Return how a run ended and why; two empty texts while it goes on."""
        from flwr.proto.control_pb2 import ListRunsRequest

        status = self._client.ListRuns(ListRunsRequest(run_id=run)).run_dict[run].status
        if status.status != "finished":
            return "", ""
        return str(status.sub_status), str(status.details)

    def wait(self, run: int, timeout: float) -> Ended:
        """Wait for the end of a run."""
        started = time.monotonic()
        while not (ended := self.status(run))[0]:
            if time.monotonic() - started > timeout:
                raise RunFailedError(f"Run {run} did not end within {timeout:.0f} s.")
            time.sleep(POLL)
        return Ended(run, *ended, self.log(run), time.monotonic() - started)

    def log(self, run: int) -> str:
        """Return a run's log so far; of a run that has ended the whole log."""
        from flwr.proto.control_pb2 import StreamLogsRequest

        answers = self._client.StreamLogs(StreamLogsRequest(run_id=run, after_timestamp=0.0))
        return "".join(answer.log_output for answer in answers)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _public(error: Exception) -> str:
    from flwr.supercore.error import FlowerError

    response = getattr(error, "response", None)
    told = FlowerError.from_json(response.text) if response is not None else None
    return str(told.public_details or told.message) if told else str(error)

"""What the SuperLink's gate has decided, counted and written to the log."""

import structlog

from datatoken.authorization.reasons import Refused
from datatoken.service.monitor import RUN, Monitor
from fl_edge.superlink.gate import Outgoing
from fl_edge.superlink.runs import Admission

log = structlog.get_logger(__name__)


class Report:
    """Tells of runs and messages.

    Parameters
    ----------
    monitor : Monitor
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def admitted(self, run: int, admission: Admission) -> None:
        """Tell that a run has started."""
        self._monitor.passed(RUN)
        log.info("run admitted", job=admission.job, run=run, request=admission.request)

    def released(self, message: Outgoing, admission: Admission | None, number: int | None) -> None:
        """Tell that a message goes out; `number` is its round's, where it is the first of it."""
        self._monitor.passed(message.kind)
        if number is not None:
            job = admission.job if admission is not None else None
            log.info(
                "round released", job=job, run=message.run, kind=message.kind.value, round=number
            )

    def refused(self, kind: str, refusal: Refused, run: int | None = None) -> None:
        """Tell that a run does not start, or a message does not go out."""
        self._monitor.refused(kind, refusal.reason)
        log.warning("refused", run=run, reason=refusal.reason.value, why=refusal.message)

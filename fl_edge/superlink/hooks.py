"""The gate inside flwr's SuperLink: functions of flwr replaced, each by a thin one of ours.

A refusal reaches whoever asked: `flwr run` gets it as the error of its request; a ServerApp's
round is not stored, the reason goes to the run's log and status, and the run ends.
"""

import importlib
from collections.abc import Callable
from typing import Any

import structlog
from flwr.common.constant import SUPERLINK_NODE_ID, Status, SubStatus
from flwr.common.serde import user_config_from_proto
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree

from datatoken.authorization.reasons import Reason, Refused
from datatoken.service.monitor import RUN, Monitor
from datatoken.types import MessageKind
from fl_edge.fab.keys import JOB_KEY, REQUEST_KEY, RESUME_KEY
from fl_edge.strategy.shortfall import too_few
from fl_edge.superlink import seams
from fl_edge.superlink.delivery import Delivery
from fl_edge.superlink.gate import Outgoing, SuperLinkGate
from fl_edge.superlink.report import Report
from fl_edge.superlink.runs import Admission
from fl_edge.superlink.watch import RoundWatch

log = structlog.get_logger(__name__)
OnStart = Callable[[int, Admission], None]


class Hooks:
    """What the replaced functions call.

    Parameters
    ----------
    gate : SuperLinkGate
    watch : RoundWatch
    on_start : callable
        Called with the id and the admission of every run, before its ServerApp can start.
    monitor : Monitor, optional
        Counts runs and messages; they are logged as well.
    """

    def __init__(
        self,
        gate: SuperLinkGate,
        watch: RoundWatch,
        on_start: OnStart,
        monitor: Monitor | None = None,
    ) -> None:
        self.gate, self.watch, self.on_start = gate, watch, on_start
        self.delivery = Delivery()
        self.report = Report(monitor or Monitor("superlink"))

    def install(self) -> None:
        """Check the seams, then replace flwr's functions.

        Raises
        ------
        LocalEnvironmentError
            When a seam is gone; nothing was replaced then.
        """
        seams.check_server()
        control = importlib.import_module(seams.CONTROL)
        fleet = importlib.import_module(seams.FLEET)
        control.start_run = self._start_run(control.start_run)  # type: ignore[attr-defined]
        fleet.get_run = self._get_run(fleet.get_run)  # type: ignore[attr-defined]
        states = [getattr(importlib.import_module(m), name) for m, name in seams.LINK_STATES]
        self.delivery.install(fleet, states)
        for state in states:
            state.store_message_and_object_tree = self._store_message(
                state.store_message_and_object_tree
            )
            state.store_object = self._store_object(state.store_object)
            state.finish_task = self._finish_task(state.finish_task)

    def _start_run(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def start_run(
            request: Any, account: Any, state: Any, fleet_api_type: Any, **options: Any
        ) -> Any:
            try:
                _check_request(request)
                overrides = user_config_from_proto(request.override_config)
                admission, lease = self.gate.admit(request.fab.content, overrides)
            except Refused as refusal:
                self.report.refused(RUN, refusal)
                raise _for_user(refusal) from refusal
            for key in (JOB_KEY, REQUEST_KEY, RESUME_KEY):
                request.override_config.pop(key, None)
            response = original(request, account, state, fleet_api_type, **options)
            if not response.run_id:
                return response
            try:
                self.gate.begin(response.run_id, admission, lease)
                self.on_start(response.run_id, admission)
                self.report.admitted(response.run_id, admission)
            except Refused as refusal:
                self.report.refused(RUN, refusal, response.run_id)
                end_run(state, response.run_id, refusal)
                raise _for_user(refusal) from refusal
            return response

        return start_run

    def _get_run(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def get_run(request: Any, state: Any) -> Any:
            response = original(request, state)
            admission = self.gate.book.get(request.run_id)
            if admission is not None:
                response.run.override_config[JOB_KEY].string = admission.job
                response.run.override_config[REQUEST_KEY].string = admission.request
            return response

        return get_run

    def _store_message(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def store_message_and_object_tree(
            state: Any, message: Any, object_tree: Any, session_id: str
        ) -> tuple[bool, list[str]]:
            metadata = message.metadata
            if metadata.reply_to_message_id:
                stored, missing = original(state, message, object_tree, session_id)
                if stored:
                    self.delivery.answered(metadata.reply_to_message_id)
                    self.watch.replied(metadata.reply_to_message_id, _error_of(message))
                return stored, missing
            outgoing, number = self._release(state, message, object_tree, session_id)
            stored, missing = original(state, message, object_tree, session_id)
            if stored:
                ids = {node.object_id for node in iterate_object_tree(object_tree)}
                fetch = state.object_store.get
                self.watch.sent(number, metadata.message_id, outgoing, ids, set(missing), fetch)
            return stored, missing

        return store_message_and_object_tree

    def _release(
        self, state: Any, message: Any, object_tree: Any, session_id: str
    ) -> tuple[Outgoing, int]:
        """Let a message out, or end its run with the reason."""
        metadata = message.metadata
        try:
            outgoing = Outgoing(
                run=metadata.run_id,
                kind=_kind_of(metadata.message_type),
                session=session_id,
                content=object_tree.children[0].object_id if object_tree.children else "",
                node=metadata.dst_node_id,
            )
            if metadata.dst_node_id == SUPERLINK_NODE_ID:
                raise Refused(Reason.RUN_NOT_ACCEPTED, "A ServerApp sends messages to nodes only.")
            first = not self.gate.covered(outgoing)
            if first:
                self._check_shortfall(metadata.run_id, finished=False)
            number = self.gate.release(outgoing)
            admission = self.gate.book.get(outgoing.run)
            self.report.released(outgoing, admission, number if first else None)
            return outgoing, number
        except Refused as refusal:
            kind = metadata.message_type.partition(".")[0]
            self.report.refused(kind, refusal, metadata.run_id)
            end_run(state, metadata.run_id, refusal)
            raise FlowerError(ApiErrorCode.NO_PERMISSIONS, str(refusal), str(refusal)) from refusal

    def _check_shortfall(self, run: int, *, finished: bool) -> None:
        admission = self.gate.book.get(run)
        if admission is None:
            return
        found = self.watch.shortfall(run, admission.minimum, finished=finished)
        if found is not None:
            raise too_few(found.kind, found.contributed, found.sent, found.minimum, found.reasons)

    def _store_object(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def store_object(
            state: Any, run_id: int, session_id: str, object_id: str, object_content: bytes
        ) -> bool:
            stored: bool = original(state, run_id, session_id, object_id, object_content)
            if stored:
                self.watch.stored(object_id, state.object_store.get)
            if stored or not object_content:
                return stored
            # After a break a node tells again what has arrived; a "no" would end its reply.
            return bool(state.object_store.get(object_id) == object_content)

        return store_object

    def _finish_task(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Plain FedAvg goes on without those who refuse, and calls a run without any complete."""

        def finish_task(state: Any, task_id: int, sub_status: str, details: str) -> bool:
            if sub_status == SubStatus.COMPLETED:
                run = _run_of_task(state, task_id)
                try:
                    if run is not None:
                        self._check_shortfall(run, finished=True)
                except Refused as refusal:
                    sub_status, details = SubStatus.FAILED, str(refusal)
                    _tell(state, task_id, details)
            done: bool = original(state, task_id, sub_status, details)
            return done

        return finish_task


def end_run(state: Any, run_id: int, refusal: Refused) -> None:
    """End a run as failed, with the reason in its status and in its log."""
    for run in state.get_run_info(run_ids=[run_id]):
        if run.status.status == Status.FINISHED or run.primary_task_id is None:
            continue
        _tell(state, run.primary_task_id, str(refusal))
        state.finish_task(run.primary_task_id, SubStatus.FAILED, str(refusal))


def _tell(state: Any, task_id: int, text: str) -> None:
    log.warning("run ended", task=task_id, why=text)
    try:
        state.add_task_log(task_id, f"{text}\n")
    except ValueError:
        log.warning("reason not written to the run's log", task=task_id)


def _check_request(request: Any) -> None:
    """Refuse all but an app that came whole: not from a Hub or a store, with no shared series."""
    if request.app_spec or not request.fab.content:
        raise Refused(
            Reason.RUN_NOT_ACCEPTED, "Only an app that is sent along can be run, not a remote one."
        )
    if request.HasField("series_id") or request.connector_ids or request.connector_refs:
        raise Refused(Reason.RUN_NOT_ACCEPTED, "A run shares no series and uses no connector.")
    if request.override_federation_config.ByteSize():
        raise Refused(Reason.RUN_NOT_ACCEPTED, "A governed run is no simulation.")


def _kind_of(message_type: str) -> MessageKind:
    category = message_type.partition(".")[0]
    if category not in {kind.value for kind in MessageKind}:
        raise Refused(Reason.MESSAGE_KIND_NOT_ANSWERED, f"{category!r} is no kind of message.")
    return MessageKind(category)


def _error_of(message: Any) -> str | None:
    if not message.has_error():
        return None
    return str(message.error.reason or f"error {message.error.code}")[:300]


def _run_of_task(state: Any, task_id: int) -> int | None:
    for task in state.get_tasks(task_ids=[task_id]):
        for run in state.get_run_info(run_ids=[task.run_id]):
            if run.primary_task_id == task_id:
                return int(run.run_id)
    return None


def _for_user(refusal: Refused) -> FlowerError:
    return FlowerError(
        ApiErrorCode.NO_PERMISSIONS, str(refusal), public_details=f"{refusal} Nothing was started."
    )

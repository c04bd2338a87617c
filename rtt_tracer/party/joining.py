"""What a party sets up to join the others: its control channel and its engine's job."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from datatoken.authorization.reasons import Reason, Refused
from datatoken.errors import DataTokenError
from datatoken.types import Hex32
from rtt_tracer.agreement.introductions import SignedIntroduction
from rtt_tracer.control.channel import ControlChannel
from rtt_tracer.control.messages import Stop
from rtt_tracer.engines.base import Endpoint, EngineJob, Role
from rtt_tracer.party.folder import RunFolder
from rtt_tracer.party.owner import OwnerSide
from rtt_tracer.party.request import Task
from rtt_tracer.party.steps import outcome_of
from rtt_tracer.settings import PartySettings

GONE_SECONDS = 4.0
"""After which a peer whose connection ended is taken for lost."""


def open_channel(
    side: OwnerSide,
    task: Task,
    folder: RunFolder,
    certificate: str,
    key: str,
    settings: PartySettings,
) -> ControlChannel:
    """Return the control channel, closed yet; it takes shares from whom the role expects some."""
    plan, role, ports = task.plan, task.me.role, settings.network.ports
    senders: list[Hex32] = []
    if role is Role.SPU_COMPUTE:
        senders = [one.dt for one in plan.participants if one.role is Role.SPU_SHARE]
    elif side.dt in plan.receivers:
        computing = [one.dt for one in plan.linked if one.role in (Role.SPU_COMPUTE, Role.ROSETTA)]
        senders = [dt for dt in computing if dt != side.dt]
    return ControlChannel(
        side.dt,
        certificate,
        key,
        host=settings.network.host,
        ports=range(ports[0], ports[1] + 1) if ports else (0,),
        shares=folder.path / "received" if senders else None,
        senders=senders,
        grace=GONE_SECONDS,
    )


def joined_job(
    task: Task,
    work: Path,
    agreed: Hex32,
    found: Mapping[Hex32, SignedIntroduction],
    settings: PartySettings,
) -> EngineJob:
    """Return the engine's job: what has been agreed on, from all introductions."""
    parties = []
    for one in task.plan.linked:
        link = found[one.dt].introduction.link
        if link is None or one.rank is None:
            raise Refused(Reason.AGREEMENT_MISMATCH, f"DT {one.dt[:10]}… has named no link.")
        parties.append(Endpoint(one.rank, link.host, link.port, link.certificate))
    giving = [found[one.dt].introduction for one in task.plan.inputs]
    rows = next((one.rows for one in giving if one.rows is not None), 0)
    own = found[task.me.dt].introduction.rows
    shapes = tuple(tuple(one.columns) for one in giving)
    count = rows if own is None else own
    return engine_job(task, work, agreed, tuple(parties), count, shapes, settings)


def engine_job(
    task: Task,
    work: Path,
    agreed: Hex32,
    parties: tuple[Endpoint, ...],
    rows: int,
    shapes: tuple[tuple[int, ...], ...],
    settings: PartySettings,
) -> EngineJob:
    """Return what the engine is told."""
    return EngineJob(
        folder=work,
        agreed=agreed,
        role=task.me.role,
        entry_point=task.me.entry_point,
        rank=task.me.rank,
        parties=parties,
        protocol=task.plan.protocol,
        parameters=task.plan.parameters,
        column_owner=task.me.input,
        inputs=len(task.plan.inputs),
        rows=rows,
        shapes=shapes,
        progress_seconds=settings.deadlines.progress,
        start_seconds=settings.deadlines.start,
    )


@contextlib.contextmanager
def telling(channel: ControlChannel) -> Iterator[None]:
    """Tell the peers when the supervisor itself breaks."""
    try:
        yield
    except DataTokenError as error:
        if (stop := outcome_of(error).stop) is not None:
            channel.tell(stop)
        raise
    except BaseException:
        channel.tell(Stop(reason=Reason.PARTY_STOPPED.value, sentence="It broke unexpectedly."))
        raise

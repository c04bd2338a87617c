"""Dishonest or broken parties: `rtt-tracer party` with one thing bent.

Run as ``python -m tests.rtt_tracer.party.hostile <trick> party --config …``.
"""

import contextlib
import dataclasses
import sqlite3
import sys
from typing import Any

from datatoken.rounds.receipts import SignedReceipt
from rtt_tracer.control import certificates, messages
from rtt_tracer.party import meeting, request, run, steps, supervisor


def other_learning_rate() -> None:
    """Believe in another learning rate than the signed one."""
    real = request.read_task

    def bent(*arguments: Any) -> Any:
        task = real(*arguments)
        parameters = {**task.plan.parameters, "learning-rate": 0.015625}
        return dataclasses.replace(task, plan=dataclasses.replace(task.plan, parameters=parameters))

    run.read_task = bent

    def unasked(side: Any, task: Any, installed: Any) -> Any:
        return lambda: _lease_of(side, task)

    run._authorise = unasked


def _lease_of(side: Any, task: Any) -> Any:
    """A permission that nobody gave: the own gate is switched off."""
    from datatoken.authorization.decision import Lease
    from datatoken.ddo.operation import ReplyPolicy

    state = side.reader.snapshot(task.plan.job, [(side.dt, task.plan.algorithm)])
    return Lease(
        job=task.plan.job,
        request=task.plan.request,
        run=task.plan.run,
        asset=side.dt,
        path=(side.dt, task.plan.algorithm),
        operation=task.me.operation,
        kind=task.plan.kind,
        edges=(),
        sequence=1,
        replies=ReplyPolicy(),
        head=state.head,
        round=state.round,
        block_number=state.block_number,
        counter=state.counter,
    )


def wrong_certificate() -> None:
    """Introduce one certificate and show another one."""
    real = meeting.meet

    def bent(side: Any, plan: Any, introduction: Any, **rest: Any) -> Any:
        other, _ = certificates.make_certificate("nobody", "127.0.0.1")
        control = introduction.control.model_copy(update={"certificate": other})
        return real(side, plan, introduction.model_copy(update={"control": control}), **rest)

    run.meet = bent


def wrong_link_certificate() -> None:
    """Introduce one certificate for the engines' link and show another one there."""
    real = meeting.meet

    def bent(side: Any, plan: Any, introduction: Any, **rest: Any) -> Any:
        other, _ = certificates.make_certificate("nobody", "127.0.0.1")
        link = introduction.link.model_copy(update={"certificate": other})
        return real(side, plan, introduction.model_copy(update={"link": link}), **rest)

    run.meet = bent


def other_precision() -> None:
    """Agree, and start the engine with another number of fraction bits."""
    real = run.joined_job

    def bent(*arguments: Any) -> Any:
        job = real(*arguments)
        return dataclasses.replace(job, parameters={**job.parameters, "fraction-bits": 20})

    run.joined_job = bent


def replayed_receipt() -> None:
    """Show the others a receipt that was signed in an earlier run."""
    real = supervisor.Supervisor._act

    def bent(self: Any, action: Any) -> None:
        match action:
            case steps.Say(message=messages.Sign(number=number)):
                old = _earlier(self.folder.path.parents[1] / "history.sqlite")
                action = steps.Say(messages.Sign(number=number, receipt=old))
        real(self, action)

    supervisor.Supervisor._act = bent  # type: ignore[method-assign]


def _earlier(path: Any) -> SignedReceipt:
    with contextlib.closing(sqlite3.connect(path)) as database:
        content = database.execute("SELECT content FROM receipts ORDER BY rowid LIMIT 1")
        return SignedReceipt.model_validate_json(content.fetchone()[0])


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    sys.argv = ["rtt-tracer", *sys.argv[2:]]
    from rtt_tracer.cli.app import main

    main()

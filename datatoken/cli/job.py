"""``datatoken job``: jobs on the market."""

from typing import Annotated

import typer

from datatoken.authorization.reasons import Reason, Refused
from datatoken.chain.events import JobPosted
from datatoken.cli.arguments import Dt, JobId, hex32, moment, pairs
from datatoken.cli.output import facts, row, table
from datatoken.cli.session import Command, Session
from datatoken.cli.task import TaskNumber
from datatoken.roles.institution import Institution
from datatoken.roles.owner import AssetOwner
from datatoken.roles.providers import AlgorithmProvider
from datatoken.text import show_moment
from datatoken.trace.usage import announcements_of, name_of, party, rounds_of
from datatoken.types import JobStatus

app = typer.Typer(help="Jobs: algorithm DTs that an institution posted.", no_args_is_help=True)
Composite = Annotated[
    str | None, typer.Option(parser=hex32, metavar="DT", help="The own composite.")
]


@app.command(cls=Command)
def post(
    task: TaskNumber,
    algorithm: Dt,
    recorder: Annotated[
        str | None, typer.Option(help="Account that logs the rounds; the DDOs name it.")
    ] = None,
) -> None:
    """Vouch for an algorithm DT: post it as a job (a registered institution only).

    The contract walks everything below and refuses when any grant is missing, revoked or
    expired. Repeating is safe: a job that is not closed is returned.

    **Example**

        datatoken job post 1 0xALGORITHM… --keystore b
    """
    session = Session.current()
    account = session.account(recorder) if recorder else None
    with session.output.progress("Posting …"):
        job = session.role(Institution).post_job(task, algorithm, account)
    session.output.result({"job": job}, job)


@app.command(cls=Command)
def guarantor(
    algorithm: Dt,
    account: Annotated[str, typer.Argument(help="Institution (address or name).")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the name back.")] = False,
) -> None:
    """Let an institution post an own algorithm, or no longer.

    **Example**

        datatoken job guarantor 0xALGORITHM… a --keystore c
    """
    session = Session.current()
    address = session.account(account)
    with session.output.progress("Naming …"):
        session.role(AlgorithmProvider).name_guarantor(algorithm, address, named=not remove)
    result = {"algorithm": algorithm, "guarantor": address, "named": not remove}
    session.output.result(result, "Taken back." if remove else "Named.")


@app.command(cls=Command)
def request(
    job: JobId,
    artefact: Annotated[
        str, typer.Option(parser=hex32, metavar="DIGEST", help="sha256 of what will run.")
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Effective run configuration."),
    ] = None,
    audience: Annotated[
        str | None,
        typer.Option(parser=hex32, metavar="DT", help="The composite addressed (default all)."),
    ] = None,
    deadline: Annotated[str, typer.Option(help="Until when a run may start.")] = "1h",
) -> None:
    """Sign a compute request for an own algorithm and put it into the store.

    `fl-edge run` does this by itself.

    **Example**

        datatoken job request 0xJOB… --artefact 0xFAB… --set num-server-rounds=5 --keystore b
    """
    session = Session.current()
    provider = session.role(AlgorithmProvider)
    until = moment(deadline, session.site.now())
    signed = provider.sign_request(
        job, artefact, pairs(set_), audience=audience, deadline=until or None
    )
    digest = signed.digest()
    session.output.result({"request": digest, **signed.model_dump(mode="json")["request"]}, digest)


@app.command(cls=Command)
def announce(
    job: JobId,
    request_: Annotated[
        str, typer.Argument(parser=hex32, metavar="REQUEST", help="Digest of the request.")
    ],
    composite: Composite = None,
) -> None:
    """Verify a compute request and announce it to those below an own composite.

    The signature must be the algorithm owner's, the deadline ahead, the nonce never seen.
    Without the announcement, gates below refuse. Repeating is safe while it stands.

    **Example**

        datatoken job announce 0xJOB… 0xREQUEST… --keystore a
    """
    session = Session.current()
    with session.output.progress("Announcing …"):
        digest = session.role(AssetOwner).announce(job, request_, composite=composite)
    session.output.result({"job": job, "request": digest}, "Announced.")


@app.command(cls=Command)
def withdraw(job: JobId, composite: Dt) -> None:
    """Withdraw an announcement: gates below refuse from the next message on.

    **Example**

        datatoken job withdraw 0xJOB… 0xCOMPOSITE… --keystore a
    """
    session = Session.current()
    with session.output.progress("Withdrawing …"):
        session.role(AssetOwner).withdraw(job, composite)
    session.output.result({"job": job, "composite": composite, "announced": False}, "Withdrawn.")


@app.command(cls=Command)
def pause(job: JobId) -> None:
    """Pause a job (its guarantor): nothing runs until it is reopened.

    **Example**

        datatoken job pause 0xJOB… --keystore b
    """
    session = Session.current()
    with session.output.progress("Pausing …"):
        session.role(Institution).pause(job)
    session.output.result({"job": job, "status": "paused"}, "Paused.")


@app.command(cls=Command)
def reopen(job: JobId) -> None:
    """Reopen a paused job (its guarantor).

    **Example**

        datatoken job reopen 0xJOB… --keystore b
    """
    session = Session.current()
    with session.output.progress("Reopening …"):
        session.role(Institution).reopen(job)
    session.output.result({"job": job, "status": "open"}, "Open.")


@app.command(cls=Command)
def close(job: JobId) -> None:
    """Close a job for good (its guarantor, or the algorithm's owner).

    **Example**

        datatoken job close 0xJOB… --keystore b
    """
    session = Session.current()
    with session.output.progress("Closing …"):
        session.role(Institution).close_job(job)
    session.output.result({"job": job, "status": "closed"}, "Closed.")


@app.command(cls=Command)
def show(job: JobId) -> None:
    """Show a job: who vouches, what is announced, which rounds are logged.

    **Example**

        datatoken job show 0xJOB… --format json
    """
    session = Session.current()
    site = session.site
    found = site.reader.job(job)
    if found.status is JobStatus.NONE:
        raise Refused(Reason.JOB_UNKNOWN, f"Job {job} is not on the task market.")
    rounds = rounds_of(site, job, found.recorder)
    announced = announcements_of(site, job)
    guarantor_ = party(site, found.guarantor)
    value = {
        "job": job,
        "status": found.status,
        "task": found.task,
        "task_open": found.task_open,
        "algorithm": found.algorithm,
        "guarantor": guarantor_,
        "recorder": found.recorder,
        "posted_at": found.posted_at,
        "announcements": announced,
        "rounds": rounds,
    }
    lines = {
        "job": job,
        "status": found.status.name.lower(),
        "task": f"{found.task} ({'open' if found.task_open else 'closed'})",
        "algorithm": f"{name_of(site, found.algorithm)} {found.algorithm}".strip(),
        "guarantor": f"{guarantor_.name} {guarantor_.account}".strip(),
        "recorder": found.recorder,
        "posted": show_moment(found.posted_at),
        "announced": "\n".join(f"{a.composite}: {a.request}" for a in announced if a.current)
        or "-",
        "rounds logged": len(rounds),
    }
    session.output.result(value, facts(lines))


@app.command("list", cls=Command)
def list_jobs() -> None:
    """List all jobs.

    **Example**

        datatoken job list
    """
    session = Session.current()
    shown = table("job", "algorithm", "status", "task", "guarantor")
    found = []
    for event in session.site.events.history(JobPosted):
        assert isinstance(event, JobPosted)
        status = session.site.reader.job(event.job).status
        name = name_of(session.site, event.algorithm)
        found.append(
            {
                "job": event.job,
                "algorithm": event.algorithm,
                "name": name,
                "status": status,
                "task": event.task,
                "guarantor": event.guarantor,
            }
        )
        row(
            shown,
            event.job,
            name or event.algorithm,
            status.name.lower(),
            event.task,
            event.guarantor,
        )
    session.output.result(found, shown)

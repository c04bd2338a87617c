"""``fl-edge run``: verify, sign, have it announced, start, follow."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import SignedRequest
from datatoken.chain.signer import Signer
from datatoken.cli.arguments import JobId, hex32, pairs
from datatoken.cli.output import facts
from datatoken.cli.session import Command, Session
from datatoken.roles import AlgorithmProvider, AssetOwner
from datatoken.text import clean
from datatoken.types import Hex32, Scalar
from fl_edge.cli.progress import RoundProgress
from fl_edge.cli.support import read_password
from fl_edge.control.outcome import RunEndedError
from fl_edge.control.plan import Plan, make_plan, sign
from fl_edge.fab.keys import JOB_KEY, REQUEST_KEY, RESUME_KEY

if TYPE_CHECKING:
    from fl_edge.control.client import SuperLink

POLL, END_POLLS = 1.0, 60
HELP = """Run a job's Flower app: byte for byte what its registered operations build.

Verifies the job, builds the app from the registered bundles, signs the compute request as the
algorithm's owner (``--keystore``), waits for the composite's owner to announce it on the chain,
starts the run on the owner's SuperLink and follows it to its end.

**Examples**

    fl-edge run 0xJOB… --superlink 127.0.0.1:8000 --insecure --keystore b \\
        -c num-server-rounds=5 -c layers=20-1

    fl-edge run 0xJOB… --superlink 127.0.0.1:8000 --insecure --keystore b \\
        --announce-keystore a

    fl-edge run 0xJOB… --superlink 127.0.0.1:8000 --insecure --keystore b --resume

Without ``--announce-keystore`` the composite's owner announces by itself
(``datatoken job announce``); the command says what to announce, and waits. ``--resume`` goes on
from the job's last logged aggregate: the rounds that are left, with the same parameters.

**Exit codes**: 0 the run is complete, 2 usage, 3 bad input, 4 refused (nothing was started),
5 chain out of reach, 6 store, 7 key or password, 8 the SuperLink does not answer, 9 a transaction
failed, 10 the run failed; with its reason as a code, such as ``TOO_FEW_PARTICIPANTS``.
"""


REACH_SECONDS = 30.0
"""For a SuperLink that was started just before."""


def run(
    job: JobId,
    superlink: Annotated[
        str, typer.Option(envvar="DATATOKEN_SUPERLINK", help="Address of the SuperLink, host:port.")
    ],
    run_config: Annotated[
        list[str] | None,
        typer.Option("--run-config", "-c", metavar="KEY=VALUE", help="Override; may be repeated."),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Connect without TLS (local trials only).")
    ] = False,
    root_certificates: Annotated[
        Path | None, typer.Option(help="CA certificates of the SuperLink (PEM).")
    ] = None,
    announce_keystore: Annotated[
        str | None, typer.Option(help="The composite owner's key, where it is at hand.")
    ] = None,
    announce_password_file: Annotated[
        Path | None, typer.Option(help="Its password; by default as for --keystore.")
    ] = None,
    wait: Annotated[
        int, typer.Option(min=0, max=86_400, help="Seconds to wait for the announcement.")
    ] = 300,
    request: Annotated[
        str | None,
        typer.Option(parser=hex32, metavar="DIGEST", help="A request that was signed before."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the job's last logged aggregate.")
    ] = False,
    stream: Annotated[
        bool, typer.Option("--stream/--no-stream", help="Follow the run to its end.")
    ] = True,
) -> None:
    """Run a job's Flower app and follow it."""
    # flwr reads its settings on import, and other commands set them first.
    from fl_edge.control.client import SuperLink

    session = Session.current()
    with session.output.progress("Reading the job …"):
        plan = make_plan(session.site, job, split(run_config))
    provider = session.role(AlgorithmProvider)
    announcer = _announcer(session, announce_keystore, announce_password_file)
    with SuperLink(superlink, insecure=insecure, root_certificates=root_certificates) as link:
        with session.output.progress("Reaching the SuperLink …"):
            link.reach(REACH_SECONDS)  # before anything is signed or announced
        signed = provider_request(session, provider, plan, request)
        with session.output.progress("Announcing …"):
            announce(session, plan, signed, announcer, wait)
        hints: dict[str, Scalar] = {JOB_KEY: job, REQUEST_KEY: signed.digest()}
        if resume:
            hints[RESUME_KEY] = True
        started = link.start(plan.fab, {**plan.overrides, **hints})
        found = {"run": str(started), "job": job, "request": signed.digest()}
        session.output.note(f"Run {started} has started.")
        if not stream:
            session.output.result(found, facts(found))
            return
        lines = follow(session, link, started)
        shown = facts({"run": started, "status": "completed"})
        session.output.result({**found, "status": "completed", "log": lines}, shown)


def provider_request(
    session: Session, provider: AlgorithmProvider, plan: Plan, digest: Hex32 | None
) -> SignedRequest:
    """Return the compute request: signed now, or the one that was signed before."""
    if digest is None:
        return sign(plan, provider)
    return AssetOwner(session.site, session.signer).request(digest)


def announce(
    session: Session, plan: Plan, signed: SignedRequest, announcer: Signer | None, wait: int
) -> None:
    """See to it that the composite's owner has announced the request.

    Raises
    ------
    Refused
        NOT_ANNOUNCED after `wait` seconds, or why the owner does not announce it.
    """
    if not plan.composite:
        return
    site, digest = session.site, signed.digest()
    owner = site.documents.record(plan.server).owner
    at_hand = [s for s in (announcer, session.signer) if s is not None and s.address == owner]
    if at_hand:
        with AssetOwner(site, at_hand[0]) as role:
            role.announce(
                plan.job,
                signed,
                composite=plan.server,
                artefact=plan.artefact,
                parameters=dict(plan.parameters),
            )
        return
    command = f"datatoken job announce {plan.job} {digest}"
    deadline = time.monotonic() + wait
    told = False
    while site.reader.announcement(plan.job, plan.server) != digest:
        if time.monotonic() >= deadline:
            raise Refused(
                Reason.NOT_ANNOUNCED,
                f"The owner of {plan.server} has not announced the request. It runs: {command}; "
                f"then repeat this with --request {digest}.",
            )
        if not told:
            session.output.note(f"Waiting for {owner}: {command}")
            told = True
        time.sleep(POLL)


def follow(session: Session, link: "SuperLink", run: int) -> list[str]:
    """Show a run's log and rounds on stderr until it is over; return its lines.

    Raises
    ------
    RunEndedError
        When it did not complete.
    """
    lines: list[str] = []
    with RoundProgress(session.output) as progress:
        for text in link.log(run):
            for line in text.splitlines():
                lines.append(clean(line))
                progress.line(lines[-1])
    for _ in range(END_POLLS):
        ended = link.outcome(run)
        if ended is not None:
            break
        time.sleep(POLL)
    if ended is None:
        raise RunEndedError("The log has ended, the run has not.", started=True)
    if not ended.completed:
        raise RunEndedError(ended.details, started=True)
    return lines


def _announcer(session: Session, name: str | None, password_file: Path | None) -> Signer | None:
    if name is None:
        return None
    path = session.settings.keystore_file(name)
    password = read_password(password_file, str(path)) if password_file else session.password(path)
    return Signer.from_keystore(path, password, stand_in=session.site.profile.stand_in)


def split(texts: list[str] | None) -> dict[str, Any]:
    """Read overrides: one in each option, or several in one text as `flwr run` takes them."""
    parts: list[str] = []
    for text in texts or []:
        several = [part for part in text.split() if part]
        parts += several if all("=" in part for part in several) else [text]
    return pairs(parts)


def register(app: typer.Typer) -> None:
    """Add the command to ``fl-edge``."""
    app.command("run", help=HELP, cls=Command)(run)

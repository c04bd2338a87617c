"""``fl-edge submit``: the consumer's run through the owner's asset service."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from datatoken.authorization.reasons import Reason, Refused
from datatoken.cli.arguments import JobId, hex32
from datatoken.cli.output import facts
from datatoken.cli.session import Command, Session
from datatoken.ddo.canonical import canonical_bytes
from datatoken.errors import BadInputError
from datatoken.roles import AlgorithmProvider
from datatoken.service.assets.client import AssetServiceClient
from datatoken.service.assets.models import Party, RunState
from datatoken.types import Hex32
from fl_edge.cli.run import split
from fl_edge.control.outcome import RunEndedError
from fl_edge.control.plan import Plan, make_plan, sign

POLL = 1.0
HELP = """Run a job's Flower app through the asset service of the composite's owner.

Verifies the job, builds the app from the registered bundles, signs the compute request as the
algorithm's owner (``--keystore``), and sends it to the service (`fl-edge service`), which
announces it, starts the run at its own SuperLink, and says how it goes. The service must be the
one that the composite's owner has delegated. What was measured is fetched when the run is over.

**Example**

    fl-edge submit 0xJOB… --service https://192.0.2.10:9443 --root-certificates tls.pem \\
        --keystore b -c num-server-rounds=5 -c layers=20-1

Ctrl-C ends the watching, not the run; repeat the command with ``--request`` to watch it again.

**Exit codes**: 0 the run is complete, 2 usage, 3 bad input, 4 refused (nothing was started), 5
chain out of reach, 6 store, 7 key or password, 8 the service does not answer, 10 the run failed;
with its reason as a code, such as ``GRANT_REVOKED``.
"""


def submit(
    job: JobId,
    service: Annotated[str, typer.Option(help="Address of the owner's asset service.")],
    run_config: Annotated[
        list[str] | None,
        typer.Option("--run-config", "-c", metavar="KEY=VALUE", help="Override; may be repeated."),
    ] = None,
    certificates: Annotated[
        Path | None,
        typer.Option(
            "--root-certificates", help="The only certificates to trust (PEM); else public ones."
        ),
    ] = None,
    request: Annotated[
        str | None,
        typer.Option(parser=hex32, metavar="DIGEST", help="A request that was sent before."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results (runs/<run> in the state folder).")
    ] = None,
) -> None:
    """Run a job's Flower app through an asset service."""
    session = Session.current()
    with session.output.progress("Reading the job …"):
        plan = make_plan(session.site, job, split(run_config))
    client = AssetServiceClient(service, session.signer, certificates=certificates)
    try:
        _check_service(session, client, plan)
        digest = request or _signed(session, plan)
        session.output.note(f"Request {digest}.")
        with session.output.progress("Starting …"):
            run = client.start(job, digest, [plan.server]).id
        party = _watched(session, client, run, plan.server)
        found: dict[str, Any] = {"run": run, "job": job, "request": digest, "status": party.state}
        _raise_unless_finished(party)
        folder = out or session.settings.folder / "runs" / run
        found["results"] = [
            str(client.download(run, file, folder / file.name, plan.server))
            for file in client.results(run, plan.server)
        ]
    finally:
        client.close()
    session.output.result(found, facts({**found, "results": ", ".join(found["results"])}))


def _check_service(session: Session, client: AssetServiceClient, plan: Plan) -> None:
    """Make sure that the composite's owner vouches for the service."""
    site = session.site
    owners = {plan.server: site.documents.record(plan.server).owner}
    if not client.verified_card(site.network, owners).assets:
        raise BadInputError(
            f"The service at {client.endpoint} does not serve DT {plan.server}.",
            "Name the service of the composite's owner: its DDO says where it is.",
        )


def _signed(session: Session, plan: Plan) -> Hex32:
    """Sign the request; the service reads the run configuration from the store."""
    session.site.store.put(canonical_bytes(dict(plan.parameters)))
    return sign(plan, session.role(AlgorithmProvider)).digest()


def _watched(session: Session, client: AssetServiceClient, run: str, dt: Hex32) -> Party:
    """Show a run's events on stderr until it is over."""
    since = 0
    while True:
        [party] = [one for one in client.job(run).parties if one.asset == dt]
        page = client.events(run, dt, since)
        since = page.next
        for event in page.events:
            known = " ".join(f"{name}={value}" for name, value in event.facts.items())
            session.output.note(f"{event.event} {known}".rstrip())
        if party.state.final and not page.events:
            return party
        time.sleep(POLL)


def _raise_unless_finished(party: Party) -> None:
    if party.state is RunState.FINISHED:
        return
    reason = Reason(party.reason) if party.reason in set(Reason) else Reason.PARTY_STOPPED
    if party.state is RunState.REFUSED:
        raise Refused(reason, party.sentence or "The run was refused.")
    said = party.sentence or "The run ended without its result."
    raise RunEndedError(f"{reason.value}: {said} {party.hint}".rstrip(), started=True)


def register(app: typer.Typer) -> None:
    """Add the command to ``fl-edge``."""
    app.command("submit", help=HELP, cls=Command)(submit)

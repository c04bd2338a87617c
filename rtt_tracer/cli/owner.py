"""What the owner of an asset service's assets does: requests for grants, and runs."""

from pathlib import Path
from typing import Annotated

import click
import typer

from datatoken.cli.arguments import moment
from datatoken.cli.errors import DeclinedError
from datatoken.cli.output import row, table
from datatoken.cli.review import as_object, shown
from datatoken.cli.session import Session
from datatoken.errors import BadInputError
from datatoken.roles.errors import AgreementError
from datatoken.roles.owner import AssetOwner
from datatoken.roles.review import review
from datatoken.service.assets.client import AssetServiceClient
from datatoken.service.assets.models import Authorization, AuthorizationState, JobRun
from datatoken.text import clean, short, show_moment

Url = Annotated[str, typer.Option("--service", help="Address of the asset service.")]
Trust = Annotated[
    Path | None,
    typer.Option(
        "--root-certificates", help="The only certificates to trust (PEM); else public ones."
    ),
]
Request = Annotated[
    str, typer.Argument(metavar="ID", help="The request, or the first digits of its id.")
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="The run, or the first digits of its id.")]


def connect(session: Session, url: str, trust: Path | None) -> AssetServiceClient:
    """Return a client that signs with the command's key."""
    client = AssetServiceClient(url, session.signer, certificates=trust)
    click.get_current_context().call_on_close(client.close)
    return client


def requests(
    service: Url,
    trust: Trust = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Decided requests, too, not only waiting ones.")
    ] = False,
) -> None:
    """List the requests for grants of your assets that wait for you, and your own.

    **Example**

        rtt-tracer service requests --service https://127.0.0.1:9443 --keystore bank-a
    """
    session = Session.current()
    found = connect(session, service, trust).authorizations()
    waiting = [one for one in found if everything or one.state is AuthorizationState.QUEUED]
    lines = table("id", "state", "asset", "for", "asked by", "when", "note")
    for one in waiting:
        who = session.site.name_of(one.requester) or one.requester
        when = show_moment(one.asked)
        row(
            lines, one.id, one.state.value, short(one.child), short(one.parent), who, when, one.note
        )
    session.output.result(waiting, lines if waiting else "No request waits.")


def approve(
    request: Request,
    service: Url,
    trust: Trust = None,
    expiry: Annotated[
        str, typer.Option(help="Until when: a date, Unix seconds, or 30d; 0 for no end.")
    ] = "0",
    max_rounds: Annotated[
        int, typer.Option(min=0, help="Messages of each kind that may run; 0 for no limit.")
    ] = 0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    r"""Grant what is asked for, after showing the review and asking.

    Your own key sends the grant from here: the service need not hold it. Repeating is safe.

    **Example**

        rtt-tracer service approve 5f3a --service https://127.0.0.1:9443 --expiry 30d \
            --keystore bank-a
    """
    session = Session.current()
    client = connect(session, service, trust)
    asked = _one(client.authorizations(), request)
    site = session.site
    reviewed = review(site, asked.child, asked.parent)
    if not session.output.json:
        for item in shown(reviewed):
            session.output.errors.print(item)
    if reviewed.violations:
        raise AgreementError(reviewed.violations)
    until = moment(expiry, site.now())
    limit = f"{max_rounds} rounds" if max_rounds else "no limit of rounds"
    if not yes and not session.confirm(f"Grant it, with {limit}, until {show_moment(until)}?"):
        raise DeclinedError("It was not granted: nobody agreed.", "Answer y, or give --yes.")
    with session.output.progress("Granting …"):
        owner = session.role(AssetOwner)
        owner.grant(asked.child, asked.parent, expiry=until, max_rounds=max_rounds)
        done = client.authorization(asked.id)
    session.output.result({**as_object(reviewed), "request": done}, "Granted.")


def refuse(
    request: Request,
    service: Url,
    trust: Trust = None,
    why: Annotated[str, typer.Option(help="What the requester gets to read.")] = "",
) -> None:
    r"""Refuse a request that waits.

    **Example**

        rtt-tracer service refuse 5f3a --why "Ask again in May." \
            --service https://127.0.0.1:9443 --keystore bank-a
    """
    session = Session.current()
    client = connect(session, service, trust)
    done = client.refuse(_one(client.authorizations(), request).id, why)
    session.output.result(done, "Refused.")


def jobs(service: Url, trust: Trust = None) -> None:
    """List the runs of your assets, and your own.

    **Example**

        rtt-tracer service jobs --service https://127.0.0.1:9443 --keystore bank-a
    """
    session = Session.current()
    found = connect(session, service, trust).jobs()
    lines = table("run", "asset", "job", "state", "stage", "since", "why")
    for run in found:
        for part in run.parties:
            stage = f"{part.stage} of {part.stages}"
            why = f"{part.reason} {part.sentence}".strip()
            since = show_moment(part.started)
            row(
                lines,
                run.id,
                short(part.asset),
                short(run.job),
                part.state.value,
                stage,
                since,
                why,
            )
    session.output.result(found, lines if found else "There were no runs.")


def log(
    run: Run,
    service: Url,
    trust: Trust = None,
    asset: Annotated[str | None, typer.Option(help="Which DT, where the run has several.")] = None,
) -> None:
    """Print the end of a run's log, as the owner of the asset: nobody else may read it.

    **Example**

        rtt-tracer service log 5f3a --service https://127.0.0.1:9443 --keystore bank-a
    """
    session = Session.current()
    client = connect(session, service, trust)
    text = client.logs(_run(client.jobs(), run).id, asset)
    session.output.result({"log": text}, clean(text))


def stop(run: Run, service: Url, trust: Trust = None) -> None:
    """Stop a run here; the parties elsewhere stop with it. Repeating is safe.

    **Example**

        rtt-tracer service stop 5f3a --service https://127.0.0.1:9443 --keystore bank-a
    """
    session = Session.current()
    client = connect(session, service, trust)
    stopped = client.stop(_run(client.jobs(), run).id)
    session.output.result(stopped, "Stopped; `jobs` shows how it ends.")


def _one(found: list[Authorization], digits: str) -> Authorization:
    fitting = [one for one in found if one.id.startswith(digits.lower())]
    if len(fitting) != 1:
        raise BadInputError(
            f"{len(fitting) or 'No'} requests begin with {digits!r}.",
            "`rtt-tracer service requests --all` shows them.",
        )
    return fitting[0]


def _run(found: list[JobRun], digits: str) -> JobRun:
    fitting = [one for one in found if one.id.startswith(digits.lower())]
    if len(fitting) != 1:
        raise BadInputError(
            f"{len(fitting) or 'No'} runs begin with {digits!r}.",
            "`rtt-tracer service jobs` shows them.",
        )
    return fitting[0]

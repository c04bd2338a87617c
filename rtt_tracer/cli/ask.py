"""``rtt-tracer ask``: requests for grants, to several asset services at once."""

import time
from typing import Annotated

import typer

from datatoken.cli.arguments import hex32
from datatoken.cli.output import row, table
from datatoken.cli.session import Command, Session
from datatoken.errors import BadInputError, DataTokenError
from datatoken.service.assets.client import AssetServiceClient
from datatoken.service.assets.models import Authorization, AuthorizationState
from datatoken.service.problems import ServiceError
from datatoken.text import short
from datatoken.types import Hex32
from rtt_tracer.cli.owner import Trust, connect

POLL = 0.5


class NotAllGrantedError(DataTokenError):
    """Some of the grants that were asked for were refused, or are not given yet.

    Attributes
    ----------
    details : dict
        The answers, as where all are granted: part of the JSON that is printed.
    """

    code = "NOT_ALL_GRANTED"
    exit_code = ServiceError.exit_code

    def __init__(self, details: dict[str, object]) -> None:
        super().__init__(
            "Not everything is granted.", "Repeat it later, or compose within the terms."
        )
        self.details = details


def ask(
    parent: Annotated[
        str, typer.Argument(parser=hex32, metavar="PARENT", help="Your DT that asks.")
    ],
    service: Annotated[
        list[str], typer.Option("--service", help="Address of an asset service; repeat it.")
    ],
    trust: Trust = None,
    note: Annotated[str, typer.Option(help="For the humans who decide.")] = "",
    wait: Annotated[
        int, typer.Option(min=0, help="Seconds to wait for grants that are on their way.")
    ] = 30,
) -> None:
    r"""Ask the services of a composite's or an algorithm's children for their grants.

    Each service is asked for the children that it serves, and must be the one that their
    owners have delegated. Repeating is safe.

    **Example**

        rtt-tracer ask 0xALGORITHM… --service https://bank-a.example:9443 \
            --service https://bank-b.example:9443 --keystore fintech
    """
    session = Session.current()
    children = set(session.site.documents.ddo(parent).children)
    clients = [connect(session, url, trust) for url in dict.fromkeys(service)]
    found: list[dict[str, object]] = []
    missing = children
    for client in clients:
        served = _served(session, client, children)
        missing = missing - set(served)
        for child in served:
            found.append(_asked(client, child, parent, note, wait))
    lines = table("asset", "service", "answer", "why")
    for one in found:
        row(lines, short(str(one["child"])), one["service"], one["state"], one["why"])
    if missing:
        session.output.note(f"No service was named for {', '.join(sorted(missing))}.")
    answers: dict[str, object] = {"asked": found, "missing": sorted(missing)}
    all_granted = all(one["state"] == AuthorizationState.GRANTED for one in found)
    if all_granted or not session.output.json:  # JSON is one object: the result, or the error
        session.output.result(answers, lines)
    if not all_granted:
        raise NotAllGrantedError(answers)


def _served(session: Session, client: AssetServiceClient, children: set[Hex32]) -> list[Hex32]:
    """Return the children that a service stands for, by their owners' word."""
    records = session.site.documents.find(children)
    owners = {dt: record.owner for dt, record in records.items()}
    card = client.verified_card(session.site.network, owners)
    if not card.assets:
        raise BadInputError(
            f"The service at {client.endpoint} serves none of the children.", "Name another one."
        )
    return [asset.dt for asset in card.assets]


def _asked(
    client: AssetServiceClient, child: Hex32, parent: Hex32, note: str, wait: int
) -> dict[str, object]:
    answer: dict[str, object] = {"child": child, "service": client.endpoint}
    try:
        found = client.ask(child, parent, note)
        found = _settled(client, found, wait)
    except ServiceError as error:
        why = "; ".join(error.violations) or error.message
        return {**answer, "state": "refused", "code": error.code, "why": why}
    return {**answer, "id": found.id, "state": found.state.value, "why": found.why}


def _settled(client: AssetServiceClient, found: Authorization, wait: int) -> Authorization:
    deadline = time.monotonic() + wait
    while found.state is AuthorizationState.APPROVED and time.monotonic() < deadline:
        time.sleep(POLL)
        found = client.authorization(found.id)
    return found


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ask", cls=Command)(ask)

"""``rtt-tracer run``: sign, start everywhere, follow, open the results."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datatoken.cli.arguments import JobId, pairs
from datatoken.cli.output import facts
from datatoken.cli.session import Command, Session
from datatoken.errors import BadInputError, DataTokenError
from datatoken.roles import AlgorithmProvider
from datatoken.types import Hex32

if TYPE_CHECKING:
    from rtt_tracer.requester.results import RunResults
    from rtt_tracer.requester.sources import Source
    from rtt_tracer.requester.wish import Wish

LOG_SECONDS = 30.0
HELP = """Run a job's MPC operation at all its parties, and open the results.

Verifies the job, signs the compute request as the algorithm's owner (``--keystore``), starts
the run at every party's asset service, follows it, and puts the results together: each party's
shares are held against what all parties have signed, and that against the job's log of rounds.

**Examples**

    rtt-tracer run 0xJOB… --keystore fintech -p epochs=5 -p protocol=ABY3 \\
        --service https://bank-a:9443 --service https://bank-b:9443 \\
        --root-certificates services.pem

    rtt-tracer run 0xJOB… --keystore fintech --state a-data --state b-data …

With ``--state`` (a party's state folder on this machine, once for each party) nothing is started:
the command says what to run by hand, and waits.

**Exit codes**: 0 the results are there, 2 usage, 3 bad input, 4 refused (nothing was started), 5
chain out of reach, 6 store, 7 key or password, 8 a service or the engine is missing, 10 the run
has failed; with its reason as a code, such as ``GRANT_REVOKED``.
"""


def run(
    job: JobId,
    service: Annotated[
        list[str] | None, typer.Option(help="Address of an asset service; may be repeated.")
    ] = None,
    certificates: Annotated[
        Path | None,
        typer.Option(
            "--root-certificates", help="The services' certificates (PEM): the only ones trusted."
        ),
    ] = None,
    state: Annotated[
        list[Path] | None,
        typer.Option(help="State folder of a party that is started by hand; may be repeated."),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="KEY=VALUE", help="Override; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results (runs/<run> in the state folder).")
    ] = None,
    spu: Annotated[
        Path | None, typer.Option(help="Python of the SPU engine's environment, to open shares.")
    ] = None,
) -> None:
    """Run a job's MPC operation and open the results."""
    from rtt_tracer.requester.follow import follow
    from rtt_tracer.requester.wish import make_wish, sign_wish

    session = Session.current()
    if bool(service) == bool(state):
        raise BadInputError(
            "Name the parties' asset services, or the state folders of parties started by hand.",
            "Give --service URL for each service, or --state FOLDER for each party.",
        )
    with session.output.progress("Reading the job …"):
        wish = make_wish(session.site, job, pairs(parameter))
    source = _source(session, wish, service or [], state or [], certificates)
    provider = session.role(AlgorithmProvider)
    request = sign_wish(provider, wish).digest()
    name = request[2:34]
    session.output.note(f"Run {name} of job {job[:10]}…, request {request}.")
    if state:
        session.output.note(
            f"Start every party: rtt-tracer party --config FILE --job {job} --request {request}"
        )
    begun = time.monotonic()
    with session.output.progress("Starting the parties …"):
        source.start(job, request)
    ended = follow(source, wish.plan.dts, session.output)
    found: dict[str, Any] = {
        "run": name,
        "job": job,
        "request": request,
        "protocol": wish.plan.protocol,
        "status": "finished",
        "stages": ended.stages,
        "seconds": round(time.monotonic() - begun, 3),
    }
    folder = out or session.settings.folder / "runs" / name
    found |= _collect(session, source, wish, request, folder, spu)
    shown = {key: value for key, value in found.items() if key != "values"}
    session.output.result(found, facts(shown))


def _source(
    session: Session,
    wish: "Wish",
    services: list[str],
    states: list[Path],
    certificates: Path | None,
) -> "Source":
    from rtt_tracer.requester.sources import Folders, Services

    if states:
        return Folders(states)
    with session.output.progress("Reaching the asset services …"):
        return Services.find(services, wish.plan.dts, session.site, session.signer, certificates)


def _collect(
    session: Session,
    source: "Source",
    wish: "Wish",
    request: Hex32,
    folder: Path,
    spu: Path | None,
) -> dict[str, Any]:
    """Fetch, check and open the results, where they are the requester's."""
    from rtt_tracer.agreement.plan import REQUESTER
    from rtt_tracer.requester import results
    from rtt_tracer.settings import DEFAULT_SPU

    parties = results.opened_parties(wish.plan)
    if REQUESTER not in wish.plan.receivers or not parties:
        return {"results": None}
    folders = results.paths(folder, parties)
    with session.output.progress("Fetching the results …"):
        for dt, target in folders.items():
            target.mkdir(parents=True, exist_ok=True)
            source.fetch(dt, target)
    checked = results.check_run(wish.plan, request, folders)
    opened = results.open_results(
        wish.plan, checked, folders, folder / "results.npz", spu or Path(DEFAULT_SPU)
    )
    found: dict[str, Any] = {
        "results": str(opened) if opened else None,
        "checkpoints": checked.checkpoint + 1,
        "logged": _is_logged(session, wish, checked, folder),
    }
    if opened is not None:
        found["values"] = results.values(opened)
    return found


def _is_logged(session: Session, wish: "Wish", checked: "RunResults", folder: Path) -> bool:
    """Wait until the log of rounds holds the last checkpoint; it is written beside the run."""
    from datatoken.authorization.decision import recorder_of
    from datatoken.service.client import LogFollower, RecorderClient
    from rtt_tracer.requester.results import logged

    site, job = session.site, wish.plan.job
    tree = site.documents.tree(wish.plan.algorithm)
    ref = recorder_of(tree.ddos, tree.paths(wish.plan.dts[0])[0])
    if ref is None:
        return False
    client = RecorderClient(ref.endpoint, session.signer, recorder=ref.account)
    follower = LogFollower(client, site.reader, folder / "log.sqlite")
    deadline = time.monotonic() + LOG_SECONDS
    try:
        with session.output.progress("Waiting for the log of rounds …"):
            while True:
                try:
                    head, number = site.reader.head(job, ref.account)
                    if logged(follower.update(job, head, number), checked):
                        return True
                except DataTokenError as error:
                    if time.monotonic() > deadline:
                        session.output.note(f"The log can't be read: {error.message}")
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.5)
    finally:
        follower.close()
        client.close()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", help=HELP, cls=Command)(run)

"""``datatoken doctor``: what is wrong with an installation, and how to mend it."""

from typing import Annotated

import typer
from rich.text import Text

from datatoken.chain.deployment import Deployment
from datatoken.cli.session import Session, keystore_address
from datatoken.doctor import Finding, State, machine, network, worst
from datatoken.doctor.findings import attempt
from datatoken.errors import DataTokenError, ExitCode
from datatoken.text import clean

MARKS = {
    State.OK: ("ok", "green"),
    State.ABSENT: ("absent", "dim"),
    State.WARNING: ("warning", "yellow"),
    State.ERROR: ("error", "bold red"),
}


def doctor(
    recorder: Annotated[
        list[str] | None,
        typer.Option(help="URL of a recorder to look at, too; may be repeated."),
    ] = None,
) -> None:
    """Check this installation, and say what is wrong and how to mend it.

    Looks at Python and packages, the state folder and its keys, each endpoint of the chain
    (contracts, age of the newest block, clock), the store, and the engines that are installed.
    Nothing is changed but one small block in the store, always the same. Exit code 8 when
    something is an error.

    **Examples**

        datatoken doctor

        datatoken doctor --recorder http://127.0.0.1:9095 --format json
    """
    session = Session.current()
    with session.output.progress("Looking…"):
        findings = _look(session, recorder or [])
    state = worst(findings)
    shown = [line for finding in findings for line in _lines(finding)]
    count = sum(finding.state is State.ERROR for finding in findings)
    verdict = f"{count} to mend." if count else "Nothing to mend."
    session.output.result({"state": state, "findings": findings}, *shown, verdict)
    if state is State.ERROR:
        raise typer.Exit(ExitCode.ENVIRONMENT)


def _look(session: Session, recorders: list[str]) -> list[Finding]:
    settings = session.settings
    deployment: list[Deployment] = []

    def load() -> list[Finding]:
        deployment.append(session.deployment)
        return [Finding("chain", State.OK, f"Deployment file {settings.deployment_file}.")]

    findings = attempt("python", machine.python) + attempt("chain", load)
    trial = any(_trial(one) for one in deployment)
    findings += attempt("folder", lambda: machine.folder(settings.folder))
    findings += attempt("keys", lambda: machine.keys(settings.keys, keystore_address, trial=trial))
    found = attempt("tls", network.authorities)
    findings += found
    if worst(found) is not State.ERROR:
        for one in deployment:
            findings += attempt("chain", lambda one=one: network.endpoints(one))  # type: ignore[misc]
        findings += attempt("store", lambda: network.store(settings.store_address))
        for url in recorders:
            findings += attempt("recorder", lambda url=url: network.recorder(url))  # type: ignore[misc]
    return findings + list(machine.engines())


def _trial(deployment: Deployment) -> bool:
    """Tell whether public keys are in order; on a chain that nobody knows they are not."""
    try:
        return deployment.network_profile().stand_in
    except DataTokenError:
        return False


def _lines(finding: Finding) -> list[Text]:
    name, style = MARKS[finding.state]
    lines = [Text.assemble((f"{name:8}", style), f"{finding.area:9} ", clean(finding.what))]
    if finding.mend:
        lines.append(Text(f"{'':18} → {clean(finding.mend)}", style="dim"))
    return lines

"""``datatoken recorder``: the service that logs each round.

Registered by ``app.command(cls=Command)(recorder.recorder)`` in `datatoken.cli.app`.
"""

from pathlib import Path
from typing import Annotated

import typer

from datatoken.cli.session import Session
from datatoken.errors import BadInputError, LocalEnvironmentError


def recorder(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")
    ] = 9095,
    state: Annotated[
        Path | None,
        typer.Option(help="Folder of its own for ledger and journal (recorder in the folder)."),
    ] = None,
    auditor: Annotated[
        list[str] | None,
        typer.Option(help="Account that may read every job's documents; may be repeated."),
    ] = None,
    linger: Annotated[
        int, typer.Option(min=0, max=3600, help="Seconds that late receipts wait for a round.")
    ] = 20,
    ssl_certfile: Annotated[
        Path | None, typer.Option(help="Certificates for HTTPS (PEM); left out: plain HTTP.")
    ] = None,
    ssl_keyfile: Annotated[Path | None, typer.Option(help="Their private key (PEM).")] = None,
) -> None:
    """Run a recorder: it takes receipts and logs each round by one transaction.

    Its key must be its own: named in the composite's (else the algorithm's) DDO, and with
    coins for transactions. It is safe to stop, kill and start again at any moment. Logs are
    JSON lines on stderr; the address is printed on stdout once it listens.

    **Examples**

        datatoken recorder --keystore recorder

        datatoken recorder --keystore recorder --port 9095 --auditor 0x…

        datatoken recorder --host 192.0.2.7 --ssl-certfile tls.pem --ssl-keyfile tls.key
    """
    if (ssl_certfile is None) != (ssl_keyfile is None):
        raise BadInputError("--ssl-certfile and --ssl-keyfile go together.")
    session = Session.current()
    try:
        from datatoken.service.server import RecorderSettings, serve
    except ModuleNotFoundError as error:
        raise LocalEnvironmentError(
            f"The recorder needs {error.name}, which is not installed.",
            "Install the extra: pip install 'datatoken[service]'.",
        ) from None
    settings = RecorderSettings(
        deployment=session.deployment,
        signer=session.signer,
        store=session.settings.store_address,
        state=state or session.settings.folder / "recorder",
        host=host,
        port=port,
        auditors=[session.account(text) for text in auditor or []],
        linger=linger,
        certificate=ssl_certfile,
        key=ssl_keyfile,
    )
    address = settings.signer.address

    def ready(url: str) -> None:
        session.output.result(
            {"recorder": address, "url": url}, f"Recorder {address} listens on {url}"
        )

    serve(settings, ready)

"""``fl-edge service``: a composite's owner answers requests for grants and runs over HTTPS."""

from pathlib import Path
from typing import Annotated

import typer

from datatoken.cli.output import Output
from datatoken.cli.settings import Format
from datatoken.errors import LocalEnvironmentError

HELP = """Run an asset service for your composites, in front of your own gated SuperLink.

A requester asks for a grant of your composite: the service holds the requester's algorithm
against your terms, as `datatoken review` does, and by your policy grants it (`auto`), queues it
for you (`queue`) or refuses it with every reason. A requester sends a signed compute request:
the service builds the app from the registered bundles, asks the composite's gate, announces the
request with your key where the gate allows it, and starts the run at your SuperLink, whose gate
decides again, round by round. Requesters need not reach the SuperLink itself.

**You need** a settings file (service.toml) that names deployment, store, a node key with your
word for it (`datatoken delegate`), your key, your policy, and the SuperLink (`fl-edge
superlink`) of each composite. See docs/services.md.

**Examples**

    fl-edge service --config service.toml

    rtt-tracer ask 0xALGORITHM… --service https://192.0.2.10:9443 --keystore b

    fl-edge submit 0xJOB… --service https://192.0.2.10:9443 --keystore b -c num-server-rounds=5

Without a certificate in the settings a self-signed one is made: hand it to your requesters. The
address is printed on stdout once it listens; logs are JSON lines on stderr. It is safe to stop,
kill and start again at any moment: runs go on, and are found again. `rtt-tracer service
requests | approve | refuse | jobs | log | stop` speak to this service, too.

**Exit codes**: 0 stopped on request, 2 usage, 3 bad input, 5 chain out of reach or another chain,
6 store, 7 key or password, 8 folder or port.
"""


def service(
    config: Annotated[Path, typer.Option(help="Settings of the service (service.toml).")],
    format_: Annotated[
        Format, typer.Option("--format", help="How the address is printed: default or json.")
    ] = Format.DEFAULT,
) -> None:
    """Run an asset service for composites."""
    try:
        from fl_edge.service.launch import launch
        from fl_edge.service.settings import load_service
    except ModuleNotFoundError as error:
        raise LocalEnvironmentError(
            f"The service needs {error.name}, which is not installed.",
            "Install the extra: pip install 'datatoken[flower]'.",
        ) from None
    output = Output(format_)
    loaded = load_service(config)
    launch(
        loaded,
        lambda ready: output.result(ready, f"{loaded.file.name} listens on {ready.url}"),
    )


def register(app: typer.Typer) -> None:
    """Add the command to ``fl-edge``."""
    app.command("service", help=HELP)(service)

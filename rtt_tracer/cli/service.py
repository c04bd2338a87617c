"""``rtt-tracer service``: an owner's assets behind HTTP, and what the owner does with it."""

from pathlib import Path
from typing import Annotated

import typer

from datatoken.cli.output import Output
from datatoken.cli.session import Command
from datatoken.cli.settings import Format
from datatoken.errors import LocalEnvironmentError
from rtt_tracer.cli import owner

HELP = """Run an asset service: it answers requests for grants and runs what your gates allow.

A requester asks for a grant of your DT: the service holds the requester's workflow against your
terms, as `datatoken review` does, and by your policy grants it (`auto`), queues it for you
(`queue`) or refuses it with every reason. A requester asks to start a job: each asset's gate is
asked, and only then a party is started, in a process group of its own and with no key in its
environment. A service of the private domain reads rows; one of the federated domain never does.

**You need** a settings file (service.toml) that names the service, its domain, its port, the
settings of its parties (party.toml) and your policy. See docs/services.md.

**Examples**

    rtt-tracer service --config service.toml

    rtt-tracer service requests --service https://127.0.0.1:9443 --root-certificates tls.pem

Without a certificate in the settings a self-signed one is made: hand it to your requesters. The
address is printed on stdout once it listens; logs are JSON lines on stderr. It is safe to stop,
kill and start again at any moment: parties go on, and are found again.

**Exit codes**: 0 stopped on request, 2 usage, 3 bad input, 5 chain out of reach or another chain,
6 store, 7 key or password, 8 folder or port.
"""

service_app = typer.Typer(
    help=HELP, invoke_without_command=True, no_args_is_help=True, rich_markup_mode="markdown"
)


@service_app.callback()
def service(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="Settings of the service (service.toml).")
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="How the address is printed: default or json.")
    ] = Format.DEFAULT,
) -> None:
    """Run an asset service."""
    if context.invoked_subcommand is not None:
        if config is not None:
            raise typer.BadParameter("--config is for running the service.")
        return
    if config is None:
        raise typer.BadParameter("Name the settings: --config service.toml.")
    try:
        from rtt_tracer.service.launch import launch
        from rtt_tracer.service.settings import load_service
    except ModuleNotFoundError as error:
        raise LocalEnvironmentError(
            f"The service needs {error.name}, which is not installed.",
            "Install the extra: pip install 'datatoken[mpc]'.",
        ) from None
    output = Output(format_)
    loaded = load_service(config)
    launch(
        loaded,
        lambda ready: output.result(ready, f"{loaded.file.name} listens on {ready.url}"),
    )


def register(app: typer.Typer) -> None:
    """Add the command and its own commands."""
    service_app.command("requests", cls=Command)(owner.requests)
    service_app.command("approve", cls=Command)(owner.approve)
    service_app.command("refuse", cls=Command)(owner.refuse)
    service_app.command("jobs", cls=Command)(owner.jobs)
    service_app.command("log", cls=Command)(owner.log)
    service_app.command("stop", cls=Command)(owner.stop)
    app.add_typer(service_app, name="service")

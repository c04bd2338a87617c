"""``fl-edge superlink``: a Flower SuperLink that runs what the chain says, round by round."""

from pathlib import Path
from typing import Annotated

import typer

from datatoken.errors import BadInputError
from fl_edge.cli import node_options as options
from fl_edge.cli.support import exit_codes, read_password

HELP = """Run a Flower SuperLink for your composite (or algorithm) DT.

A run starts only when its job is posted, granted and announced, its compute request is signed,
and its app is byte for byte what the registered operations build. Every round asks the chain
anew. Fewer owners than the terms ask for: the run fails, and says why. Members' rounds and the
aggregates' digests are named to the recorder, for apps that never heard of this, too.

**You need**

- ``deployment.json`` of the network (from its administrator, or ``datatoken up``)
- the DT whose workflow has the operation on ``self`` (``datatoken dt publish``)
- its owner's keystore, or a node key with the owner's word (``datatoken delegate``)

**Example**

    fl-edge superlink --insecure --deployment deployment.json --store ./store \\
        --state ./superlink --dt 0x5f… --keystore a.json --password-file a.pw

SuperNodes, ``flwr run`` and ``fl-edge run`` connect to ``--host`` and ``--port``. Arguments
after ``--`` go to Flower's own SuperLink (``flower-superlink --help``).

**Exit codes**: 0 stopped on request, 2 usage, 3 bad input, 5 chain out of reach or another
chain, 6 store, 7 key or password, 8 folder, port or flwr version. Refused runs don't end it.
"""


def superlink(
    context: typer.Context,
    dt: options.Dt,
    deployment: Annotated[
        Path, typer.Option(envvar="DATATOKEN_DEPLOYMENT", help="The network's deployment.json.")
    ],
    store: Annotated[
        str, typer.Option(envvar="DATATOKEN_STORE", help="Store of documents and bundles.")
    ],
    state: Annotated[
        Path, typer.Option(envvar="DATATOKEN_STATE", help="Folder of this SuperLink's memory.")
    ],
    keystore: Annotated[
        Path, typer.Option(envvar="DATATOKEN_KEYSTORE", help="The owner's key, or a node key.")
    ],
    password_file: Annotated[
        Path | None,
        typer.Option(
            envvar="DATATOKEN_PASSWORD_FILE", help="Its password; asked for where there is none."
        ),
    ] = None,
    delegation: Annotated[
        Path | None,
        typer.Option(envvar="DATATOKEN_DELEGATION", help="The owner's word for a node key."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen without TLS (local trials only).")
    ] = False,
    ssl_ca_certfile: Annotated[Path | None, typer.Option(help="CA certificate (PEM).")] = None,
    ssl_certfile: Annotated[Path | None, typer.Option(help="Server certificate (PEM).")] = None,
    ssl_keyfile: Annotated[Path | None, typer.Option(help="Server private key (PEM).")] = None,
    metrics_port: options.MetricsPort = None,
    metrics_host: options.MetricsHost = "127.0.0.1",
    pass_env: Annotated[
        list[str] | None,
        typer.Option(help="Environment variable that apps may see; may be repeated."),
    ] = None,
) -> None:
    """Run a Flower SuperLink that runs what the chain says, round by round."""
    with exit_codes():
        from fl_edge.superlink.launch import launch
        from fl_edge.superlink.settings import Settings

        options.check_dt(dt)
        certificates = (ssl_ca_certfile, ssl_certfile, ssl_keyfile)
        if insecure == any(certificates) or (any(certificates) and not all(certificates)):
            raise BadInputError(
                "Name all three certificate files, or --insecure for a local trial.",
                "They are --ssl-ca-certfile, --ssl-certfile and --ssl-keyfile.",
            )
        settings = Settings(
            dt=dt,
            deployment=deployment,
            store=store,
            state=state,
            keystore=keystore,
            password=read_password(password_file, f"the keystore {keystore}"),
            delegation=delegation,
            host=host,
            port=port,
            insecure=insecure,
            ssl_ca_certfile=ssl_ca_certfile,
            ssl_certfile=ssl_certfile,
            ssl_keyfile=ssl_keyfile,
            metrics_port=metrics_port,
            metrics_host=metrics_host,
            pass_env=tuple(pass_env or ()),
            extra=tuple(context.args),
        )
        code = launch(settings)
    raise typer.Exit(int(code))


def register(app: typer.Typer) -> None:
    """Add the command to ``fl-edge``."""
    settings = {"allow_extra_args": True}
    app.command("superlink", help=HELP, context_settings=settings)(superlink)

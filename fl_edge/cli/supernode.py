"""``fl-edge supernode``: a Flower SuperNode under the gate of the data owner."""

import re
from pathlib import Path
from typing import Annotated

import typer

from datatoken.errors import BadInputError
from fl_edge.cli.support import exit_codes, read_password

HELP = """Run a Flower SuperNode that computes only what you have granted.

The node connects to a SuperLink like any other. Before an app may touch your data, the gate
asks the chain whether the job is posted, announced and granted **now**, rebuilds the app from
the registered operations and compares the bytes, and holds parameters and the whole message
against your terms. What leaves is held against the operation's reply policy. Everything else
is answered with ``refused by data owner: <REASON>: <sentence>``.

**You need**

- ``deployment.json`` of the network (from its administrator, or ``datatoken up``)
- your DT (``datatoken dt publish``) and a grant (``datatoken grant``)
- a node key and your word for it (``datatoken dt delegate``): it signs receipts, nothing else

**Example**

    fl-edge supernode --superlink 127.0.0.1:9092 --insecure \\
        --deployment deployment.json --store ./store --state ./node-1 \\
        --dt 0x5f… --node-key node.json --password-file node.pw \\
        --delegation delegation.json --node-config 'data="rows.csv"'

Arguments after ``--`` go to Flower's own SuperNode (``flower-supernode --help``).

**Exit codes**: 0 stopped on request, 2 usage, 3 bad input, 5 chain out of reach or another
chain, 6 store, 7 key or password, 8 folder, port or flwr version, 10 the connection ended.
Refused messages don't end the node.
"""

DT = re.compile(r"0x[0-9a-f]{64}")
STATE_HELP = "Folder of this node's own memory: counts, receipts, log. One for each node."


def supernode(
    context: typer.Context,
    superlink: Annotated[str, typer.Option(help="Address of the SuperLink, host:port.")],
    dt: Annotated[str, typer.Option(envvar="DATATOKEN_DT", help="Your data token (0x…).")],
    deployment: Annotated[
        Path, typer.Option(envvar="DATATOKEN_DEPLOYMENT", help="The network's deployment.json.")
    ],
    store: Annotated[
        str, typer.Option(envvar="DATATOKEN_STORE", help="Store of documents and bundles.")
    ],
    state: Annotated[Path, typer.Option(envvar="DATATOKEN_STATE", help=STATE_HELP)],
    node_key: Annotated[
        Path, typer.Option(envvar="DATATOKEN_NODE_KEY", help="Keystore of the node key.")
    ],
    delegation: Annotated[
        Path, typer.Option(envvar="DATATOKEN_DELEGATION", help="The owner's word for that key.")
    ],
    password_file: Annotated[
        Path | None,
        typer.Option(
            envvar="DATATOKEN_PASSWORD_FILE", help="Its password; asked for where there is none."
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Connect without TLS (local trials only).")
    ] = False,
    root_certificates: Annotated[
        Path | None, typer.Option(help="CA certificates of the SuperLink (PEM).")
    ] = None,
    node_config: Annotated[
        str | None, typer.Option(help="What your apps get to know: 'key=\"value\" n=3'.")
    ] = None,
    isolation: Annotated[
        str, typer.Option(help="subprocess: the node starts apps; process: you start them.")
    ] = "subprocess",
    host: Annotated[str, typer.Option(help="Where apps reach this node.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any.")] = 0,
    pass_env: Annotated[
        list[str] | None,
        typer.Option(help="Environment variable that apps may see; may be repeated."),
    ] = None,
) -> None:
    """Run a Flower SuperNode that computes only what its owner has granted."""
    with exit_codes():
        from fl_edge.supernode.launch import launch
        from fl_edge.supernode.settings import Settings

        if DT.fullmatch(dt) is None:
            raise BadInputError("--dt is not a DT: 0x and 64 lower-case hex digits.")
        if insecure and root_certificates is not None:
            raise BadInputError("--insecure and --root-certificates exclude each other.")
        settings = Settings(
            superlink=superlink,
            dt=dt,
            deployment=deployment,
            store=store,
            state=state,
            node_key=node_key,
            delegation=delegation,
            password=read_password(password_file, f"the keystore {node_key}"),
            insecure=insecure,
            root_certificates=root_certificates,
            node_config=node_config,
            isolation=isolation,
            host=host,
            port=port,
            pass_env=tuple(pass_env or ()),
            extra=tuple(context.args),
        )
        code = launch(settings)
    raise typer.Exit(int(code))


def register(app: typer.Typer) -> None:
    """Add the command to ``fl-edge``."""
    settings = {"allow_extra_args": True}
    app.command("supernode", help=HELP, context_settings=settings)(supernode)

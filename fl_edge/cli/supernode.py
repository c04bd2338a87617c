"""``fl-edge supernode``: a Flower SuperNode under the gate of the data owner."""

from pathlib import Path
from typing import Annotated

import typer

from datatoken.cli.settings import Settings as SharedSettings
from datatoken.cli.settings import load_settings
from datatoken.errors import BadInputError
from fl_edge.cli import node_options as options
from fl_edge.cli.support import read_password

HELP = """Run a Flower SuperNode that computes only what you have granted.

The node connects to a SuperLink like any other. Before an app may touch your data, the gate
asks the chain whether the job is posted, announced and granted **now**, rebuilds the app from
the registered operations and compares the bytes, and holds parameters and the whole message
against your terms. What leaves is held against the operation's reply policy. Everything else
is answered with ``refused by data owner: <REASON>: <sentence>``.

**You need**

- ``deployment.json`` of the network (from its administrator, or ``datatoken up``)
- your DT (``datatoken dt publish``) and a grant (``datatoken grant``)
- a node key (``datatoken key create``) and your word for it (``datatoken delegate``): it signs
  receipts, nothing else

**Example**

    fl-edge supernode --superlink 127.0.0.1:8000 --insecure --dt 0x5f… \\
        --node-key node-1 --delegation delegation.json --state ./node-1 \\
        --node-config 'data="rows.csv"'

Settings are taken from flags, ``DATATOKEN_…`` variables, ``datatoken.toml``, in this order.
Arguments after ``--`` go to Flower's own SuperNode (``flower-supernode --help``).

**Exit codes**: 0 stopped on request, 2 usage, 3 bad input, 5 chain out of reach or another
chain, 6 store, 7 key or password, 8 folder, port or flwr version, 10 the connection ended.
Refused messages don't end the node.
"""


def supernode(
    context: typer.Context,
    superlink: options.SuperLinkAddress,
    dt: options.Dt,
    node_key: options.NodeKey,
    delegation: options.Delegation,
    deployment: options.Deployment = None,
    store: options.Store = None,
    state: options.State = None,
    password_file: options.PasswordFile = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Connect without TLS (local trials only).")
    ] = False,
    root_certificates: options.RootCertificates = None,
    node_config: Annotated[
        str | None, typer.Option(help="What your apps get to know: 'key=\"value\" n=3'.")
    ] = None,
    isolation: Annotated[
        str, typer.Option(help="subprocess: the node starts apps; process: you start them.")
    ] = "subprocess",
    host: Annotated[str, typer.Option(help="Where apps reach this node.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any.")] = 0,
    metrics_port: options.MetricsPort = None,
    metrics_host: options.MetricsHost = "127.0.0.1",
    pass_env: Annotated[
        list[str] | None,
        typer.Option(help="Environment variable that apps may see; may be repeated."),
    ] = None,
) -> None:
    """Run a Flower SuperNode that computes only what its owner has granted."""
    from fl_edge.supernode.launch import launch
    from fl_edge.supernode.settings import Settings

    options.check_dt(dt)
    if insecure and root_certificates is not None:
        raise BadInputError("--insecure and --root-certificates exclude each other.")
    shared = load_settings(
        {"deployment": deployment, "store": store, "password_file": password_file}
    )
    keystore = shared.keystore_file(node_key)
    settings = Settings(
        superlink=superlink,
        dt=dt,
        deployment=shared.deployment_file,
        store=shared.store_address,
        state=state or shared.folder / "nodes" / dt[2:12],
        node_key=keystore,
        delegation=delegation,
        password=read_password(password_file_of(shared), f"the keystore {keystore}"),
        insecure=insecure,
        root_certificates=root_certificates,
        node_config=node_config,
        isolation=isolation,
        host=host,
        port=port,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
        pass_env=tuple(pass_env or ()),
        extra=tuple(context.args),
    )
    raise typer.Exit(int(launch(settings)))


def password_file_of(shared: SharedSettings) -> Path | None:
    """Return the file with the password: the named one, else the one beside the keys."""
    default = shared.keys / "password"
    return shared.password_file or (default if default.is_file() else None)


def register(app: typer.Typer) -> None:
    """Add the command to ``fl-edge``."""
    settings = {"allow_extra_args": True}
    app.command("supernode", help=HELP, context_settings=settings)(supernode)

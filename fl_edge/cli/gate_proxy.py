"""``fl-edge gate-proxy``: the gate in a process of its own, before a stock SuperNode."""

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from datatoken.cli.settings import load_settings
from datatoken.errors import BadInputError
from fl_edge.cli import node_options as options
from fl_edge.cli.supernode import password_file_of
from fl_edge.cli.support import read_password

HELP = """Run the gate in a process of its own, between a SuperLink and a stock SuperNode.

The same gate as in ``fl-edge supernode``: the same decisions, refusals and receipts. But the
SuperNode behind it is Flower's own, unchanged, in another process: under another account, in
a container or on another machine, which holds no key and reaches nothing but this proxy.

**You need** what ``fl-edge supernode`` needs: ``deployment.json``, your DT and a grant, a node
key and your word for it.

**Example**

    fl-edge gate-proxy --superlink a.example:8000 --dt 0x5f… --node-key node-1 \\
        --delegation delegation.json --state ./gate-1 --port 9500

    flower-supernode --insecure --superlink 127.0.0.1:9500      # as another account

Where the SuperLink asks for a key (``--enable-supernode-auth``), it is this proxy's:
``--auth-supernode-private-key``. The SuperNode registers with the proxy; ``--supernode-public-key``
lets one SuperNode in only, over TLS (``--ssl-certfile``, ``--ssl-keyfile``), as Flower wants it.
Without a key whoever reaches the port is the SuperNode: on another ``--host`` than this machine's
own 127.0.0.1 that takes ``--inner-network``, your word that nobody else is on that network.

**Exit codes**: 0 stopped on request, 2 usage, 3 bad input, 5 chain out of reach or another
chain, 6 store, 7 key or password, 8 folder, port or flwr version. Refused messages don't end it.
"""


def gate_proxy(
    superlink: options.SuperLinkAddress,
    dt: options.Dt,
    node_key: options.NodeKey,
    delegation: options.Delegation,
    deployment: options.Deployment = None,
    store: options.Store = None,
    state: options.State = None,
    password_file: options.PasswordFile = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Reach the SuperLink without TLS (trials only).")
    ] = False,
    root_certificates: options.RootCertificates = None,
    auth_supernode_private_key: Annotated[
        Path | None, typer.Option(help="Key by which the SuperLink knows this node (EC, OpenSSH).")
    ] = None,
    host: Annotated[str, typer.Option(help="Where the SuperNode reaches this.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any.")] = 9500,
    ssl_certfile: Annotated[
        Path | None, typer.Option(help="Certificates shown to the SuperNode (PEM).")
    ] = None,
    ssl_keyfile: Annotated[Path | None, typer.Option(help="Their private key (PEM).")] = None,
    supernode_public_key: Annotated[
        Path | None, typer.Option(help="The only SuperNode that is let in (EC, OpenSSH).")
    ] = None,
    inner_network: Annotated[
        bool,
        typer.Option(
            "--inner-network",
            help="Nobody but the SuperNode is on --host's network: no key needed.",
        ),
    ] = False,
    metrics_port: options.MetricsPort = None,
    metrics_host: options.MetricsHost = "127.0.0.1",
    app_home: Annotated[
        Path | None,
        typer.Option(help="FLWR_HOME of the SuperNode: its apps are removed before each message."),
    ] = None,
) -> None:
    """Run the gate in a process of its own, between a SuperLink and a stock SuperNode."""
    from fl_edge.gate_proxy.launch import launch
    from fl_edge.gate_proxy.settings import Settings

    options.check_dt(dt)
    if insecure and (root_certificates or auth_supernode_private_key):
        raise BadInputError("--insecure goes with neither certificates nor a key for the node.")
    if (ssl_certfile is None) != (ssl_keyfile is None):
        raise BadInputError("--ssl-certfile and --ssl-keyfile go together.")
    if supernode_public_key and not ssl_certfile:
        raise BadInputError(
            "--supernode-public-key needs --ssl-certfile and --ssl-keyfile.",
            "Flower's SuperNode shows its key over TLS only.",
        )
    if not (supernode_public_key or inner_network or is_loopback(host)):
        raise BadInputError(
            f"Whoever reaches {host} would be the SuperNode.",
            "Name its key (--supernode-public-key, over TLS), or give --inner-network where nobody "
            "else is on that network.",
        )
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
        host=host,
        port=port,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
        auth_key=auth_supernode_private_key,
        certificate=ssl_certfile,
        key=ssl_keyfile,
        supernode_key=supernode_public_key,
        app_home=app_home,
    )
    raise typer.Exit(int(launch(settings)))


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def register(app: typer.Typer) -> None:
    """Add the command to ``fl-edge``."""
    app.command("gate-proxy", help=HELP)(gate_proxy)

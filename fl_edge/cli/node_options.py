"""Options that the commands of a data owner share: the SuperNode's, and the gate proxy's."""

import re
from pathlib import Path
from typing import Annotated

import typer

from datatoken.errors import BadInputError

_DT = re.compile(r"0x[0-9a-f]{64}")
_STATE = "Folder of this node's own memory: counts, receipts, log; one for each node."

SuperLinkAddress = Annotated[str, typer.Option(help="Address of the SuperLink, host:port.")]
Dt = Annotated[str, typer.Option(envvar="DATATOKEN_DT", help="Your data token (0x…).")]
NodeKey = Annotated[
    str, typer.Option(envvar="DATATOKEN_NODE_KEY", help="Keystore of the node key, file or name.")
]
Delegation = Annotated[
    Path, typer.Option(envvar="DATATOKEN_DELEGATION", help="The owner's word for that key.")
]
Deployment = Annotated[
    Path | None, typer.Option(help="The network's deployment.json (DATATOKEN_DEPLOYMENT).")
]
Store = Annotated[
    str | None, typer.Option(help="Store of documents and bundles (DATATOKEN_STORE).")
]
State = Annotated[Path | None, typer.Option(envvar="DATATOKEN_STATE", help=_STATE)]
PasswordFile = Annotated[
    Path | None, typer.Option(help="Its password (DATATOKEN_PASSWORD_FILE); else it is asked for.")
]
RootCertificates = Annotated[
    Path | None, typer.Option(help="CA certificates of the SuperLink (PEM).")
]
MetricsPort = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port of /metrics and /healthz; left out: none."),
]
MetricsHost = Annotated[str, typer.Option(help="Their address.")]


def check_dt(dt: str) -> None:
    """Check the form of ``--dt``.

    Raises
    ------
    BadInputError
    """
    if _DT.fullmatch(dt) is None:
        raise BadInputError("--dt is not a DT: 0x and 64 lower-case hex digits.")

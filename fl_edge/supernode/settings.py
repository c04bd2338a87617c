"""Settings of a SuperNode, and the files they name."""

from dataclasses import dataclass, field
from pathlib import Path

from datatoken.ddo.canonical import parse_json, validate
from datatoken.errors import BadInputError
from datatoken.rounds.receipts import Delegation
from datatoken.types import Address, Hex32

MAX_DELEGATION_BYTES = 16 * 1024


@dataclass(frozen=True)
class Settings:
    """What ``fl-edge supernode`` is started with; see its ``--help``.

    Attributes
    ----------
    password : str
        Of the node key's keystore; never shown.
    extra : tuple of str
        Further arguments for flwr's own SuperNode.
    """

    superlink: str
    dt: Hex32
    deployment: Path
    store: str
    state: Path
    node_key: Path
    delegation: Path
    password: str = field(repr=False)
    insecure: bool = False
    root_certificates: Path | None = None
    node_config: str | None = None
    isolation: str = "subprocess"
    host: str = "127.0.0.1"
    port: int = 0
    pass_env: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    def flwr_arguments(self, port: int) -> list[str]:
        """Return the command line of flwr's own SuperNode."""
        found = ["--superlink", self.superlink, "--isolation", self.isolation]
        found += ["--host", self.host, "--port", str(port)]
        if self.insecure:
            found.append("--insecure")
        if self.root_certificates is not None:
            found += ["--root-certificates", str(self.root_certificates)]
        if self.node_config is not None:
            found += ["--node-config", self.node_config]
        return [*found, *self.extra]


def read_delegation(path: Path) -> Delegation:
    """Read the DT owner's delegation of a node key.

    Raises
    ------
    BadInputError
        The file is missing or is no delegation.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_DELEGATION_BYTES + 1)
    except OSError as error:
        raise BadInputError(
            f"The delegation {path} can't be read: {error.strerror}.",
            "The DT's owner signs one: datatoken delegate.",
        ) from None
    return validate(
        Delegation, parse_json(content, "delegation", MAX_DELEGATION_BYTES), "delegation"
    )


def check_delegation(
    delegation: Delegation,
    *,
    chain_id: int,
    registry: Address,
    dt: Hex32,
    owner: Address,
    node: Address,
    now: int,
) -> None:
    """Check that the DT's owner lets this node key sign, now.

    Raises
    ------
    BadInputError
        With the first thing that is wrong.
    """
    if (delegation.chain_id, delegation.registry) != (chain_id, registry):
        why = "it is for another deployment"
    elif delegation.dt != dt:
        why = f"it is for DT {delegation.dt}"
    elif delegation.node != node:
        why = f"it is for the node key of {delegation.node}, this one is of {node}"
    elif delegation.expiry <= now:
        why = f"it expired at {delegation.expiry}"
    elif delegation.owner() != owner:
        why = "it is not signed by the DT's owner"
    else:
        return
    raise BadInputError(
        f"The delegation can't be used: {why}.", "The DT's owner signs one: datatoken delegate."
    )

"""The file in which a DT's owner delegates a node key."""

from pathlib import Path

from datatoken.ddo.canonical import parse_json, validate
from datatoken.errors import BadInputError
from datatoken.rounds.receipts import Delegation
from datatoken.types import Address, Hex32

MAX_DELEGATION_BYTES = 16 * 1024


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

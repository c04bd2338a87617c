"""Network profiles: what the SDK must know of a chain before it trusts an answer.

A profile is built in (`anvil`, `platon`, `platon-dev`, `platon-stand-in`) or a TOML file
with the fields of `NetworkProfile`.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from datatoken.errors import BadInputError
from datatoken.types import Model

ANVIL_CHAIN_ID = 31337
PLATON_CHAIN_ID = 210425
PLATON_DEV_CHAIN_ID = 20250407

Finality = Literal["latest", "safe", "finalized"]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400, strict=False)]


class NetworkProfile(Model):
    """One chain and the rules for reading and writing it.

    Parameters
    ----------
    name : str
        Name of the profile.
    chain_id : int
        Chain id that every endpoint must answer with.
    finality : str
        Block that decisions and events are read at: `latest` where a block is final once
        it is seen (PlatON, anvil), else `safe` or `finalized`.
    confirmations : int
        Blocks on top of a transaction's block before its receipt counts.
    poa : bool
        Block headers carry validators' data (extraData longer than 32 bytes).
    legacy_gas_price : bool
        Transactions carry one gas price (no base fee on this chain).
    view_gas : int
        Gas that a view call may use.
    block_time : float
        Seconds between blocks.
    clock_bound : float
        Largest accepted difference between chain time and the own clock, in seconds.
    poll_interval : float
        Seconds between two looks for a receipt.
    receipt_timeout : float
        Seconds to wait for a receipt.
    reorg_overlap : int
        Blocks that an event reader reads again, where blocks can be replaced.
    log_window : int
        Most blocks asked for in one log query.
    stand_in : bool
        A local node plays this chain: the public development keys are allowed on it.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    chain_id: Annotated[int, Field(gt=0, lt=2**63)]
    finality: Finality = "latest"
    confirmations: Annotated[int, Field(ge=0, le=10_000)] = 0
    poa: bool = False
    legacy_gas_price: bool = False
    view_gas: Annotated[int, Field(ge=1_000_000, lt=2**63)] = 50_000_000
    block_time: PositiveSeconds = 1.0
    clock_bound: PositiveSeconds = 30.0
    poll_interval: PositiveSeconds = 0.5
    receipt_timeout: PositiveSeconds = 120.0
    reorg_overlap: Annotated[int, Field(ge=0, le=10_000)] = 0
    log_window: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000
    stand_in: bool = False


BUILT_IN: dict[str, NetworkProfile] = {
    profile.name: profile
    for profile in (
        NetworkProfile(
            name="anvil",
            chain_id=ANVIL_CHAIN_ID,
            poll_interval=0.05,
            receipt_timeout=30.0,
            stand_in=True,
        ),
        # PlatON commits blocks by BFT: `latest` is final, `safe` and `finalized` are refused.
        NetworkProfile(
            name="platon",
            chain_id=PLATON_CHAIN_ID,
            poa=True,
            legacy_gas_price=True,
        ),
        NetworkProfile(
            name="platon-dev",
            chain_id=PLATON_DEV_CHAIN_ID,
            poa=True,
            legacy_gas_price=True,
        ),
        NetworkProfile(
            name="platon-stand-in",
            chain_id=PLATON_DEV_CHAIN_ID,
            poa=True,
            legacy_gas_price=True,
            poll_interval=0.1,
            stand_in=True,
        ),
    )
}


def profile_of_chain(chain_id: int) -> NetworkProfile:
    """Return the built-in profile of a chain, by its id.

    Raises
    ------
    BadInputError
        When none is built in; a stand-in is never chosen for a real network.
    """
    of_chain = [profile for profile in BUILT_IN.values() if profile.chain_id == chain_id]
    if not of_chain:
        known = ", ".join(f"{one.chain_id} ({one.name})" for one in BUILT_IN.values())
        raise BadInputError(
            f"No network profile of chain {chain_id} is built in.",
            f"Built in: {known}. Give the path of a .toml file for another chain.",
        )
    return min(of_chain, key=lambda profile: profile.stand_in)


def load_profile(name_or_path: str | Path) -> NetworkProfile:
    """Return a built-in profile by name, or the one in a TOML file.

    Raises
    ------
    BadInputError
        When there is no such profile or the file is not a valid one.
    """
    built_in = BUILT_IN.get(str(name_or_path))
    if built_in is not None:
        return built_in
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise BadInputError(
            f"There is no network profile named {str(name_or_path)!r}.",
            f"Use one of {', '.join(BUILT_IN)}, or the path of a .toml file.",
        )
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        return NetworkProfile.model_validate(fields)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInputError(f"The network profile {path} cannot be read: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadInputError(
            f"The network profile {path} is not valid: {field}: {first['msg']}."
        ) from error

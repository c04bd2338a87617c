"""web3.py over a deployment, for scripts, notebooks and tools that speak web3.

The SDK's own reads and writes do without it (ADR 0003); whoever knows web3.py gets the same
contracts, on the same endpoint, with the settings that the network needs.
"""

from typing import Any

from web3 import HTTPProvider, Web3
from web3.middleware import ExtraDataToPOAMiddleware

from datatoken.chain.artifacts import CONTRACT_NAMES, load_artifact
from datatoken.chain.deployment import Deployment
from datatoken.chain.rpc import refuse_other_chain
from datatoken.errors import BadInputError, ChainUnreachableError

FIELDS = dict(
    zip(
        CONTRACT_NAMES,
        ("institutions", "operations", "tokens", "market", "log", "view"),
        strict=True,
    )
)


def connect(deployment: Deployment, timeout: float = 5.0) -> Web3:
    """Return a connected `web3.Web3`.

    Requests that never change (the chain id) are cached, else every call costs three RPCs;
    PlatON's 97-byte extraData is cut where the profile says so.

    Parameters
    ----------
    deployment : Deployment
    timeout : float
        Seconds for one request.

    Raises
    ------
    ChainUnreachableError, WrongChainError
    """
    url = deployment.rpc_urls[0]
    provider = HTTPProvider(url, request_kwargs={"timeout": timeout}, cache_allowed_requests=True)
    web3 = Web3(provider)
    if deployment.network_profile().poa:
        web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    try:
        found = web3.eth.chain_id
    except Exception as error:  # requests, urllib3 and web3 each have types of their own
        raise ChainUnreachableError(f"No endpoint of the chain answered: {error}.") from error
    refuse_other_chain(found, deployment.chain_id, url)
    return web3


def contract(web3: Web3, deployment: Deployment, name: str) -> Any:
    """Return a `web3.contract.Contract` by its name, for example ``"TaskMarket"``.

    Raises
    ------
    BadInputError
        When there is no such contract.
    """
    if name not in FIELDS:
        raise BadInputError(f"There is no contract {name!r}; there are {', '.join(FIELDS)}.")
    address = Web3.to_checksum_address(getattr(deployment, FIELDS[name]))
    return web3.eth.contract(address=address, abi=load_artifact(name).abi)

"""``datatoken network`` and ``datatoken deploy``: the chain's rules, and contracts on it."""

import time
from typing import Annotated, Any

import typer

from datatoken.chain.deployment import Deployment, connect
from datatoken.chain.pinning import majority, parse_block
from datatoken.chain.profiles import NetworkProfile, load_profile, profile_of_chain
from datatoken.chain.rpc import Rpc
from datatoken.cli.output import facts, row, table
from datatoken.cli.session import Session
from datatoken.errors import BadInputError, DataTokenError
from datatoken.roles.administrator import Administrator
from datatoken.roles.site import JOURNAL


def network() -> None:
    """Show the network's rules, and what each endpoint of the chain answers now.

    **Examples**

        datatoken network

        datatoken network --rpc http://one:6789,http://two:6789 --format json
    """
    session = Session.current()
    deployment = session.deployment
    profile = deployment.network_profile()
    endpoints = [_state(url, deployment.chain_id) for url in deployment.rpc_urls]
    found: dict[str, Any] = {
        **profile.model_dump(mode="json"),
        "quorum": deployment.voices(),
        "endpoints": endpoints,
    }
    shown = table("endpoint", "chain", "block", "seconds behind", "problem")
    for one in endpoints:
        row(shown, *(one[name] for name in ("url", "chain_id", "block", "behind", "problem")))
    rules = {name: value for name, value in found.items() if name != "endpoints"}
    session.output.result(found, facts(rules), "", shown)


def deploy(
    profile: Annotated[
        str | None,
        typer.Option(
            "--network", help="Network profile, or a .toml file; by default by the chain's id."
        ),
    ] = None,
) -> None:
    """Deploy the contracts to a running chain; the account becomes the administrator.

    Writes the deployment file. Repeating is safe: what was deployed is taken up again.

    **Example**

        datatoken deploy --rpc http://127.0.0.1:6789 --keystore administrator
    """
    session = Session.current()
    urls = session.endpoints
    if not urls:
        raise BadInputError("No endpoint of the chain is named.", "Name one: --rpc URL.")
    path, folder = session.settings.deployment_file, session.settings.folder
    with Rpc(urls) as rpc:
        chosen = _profile(profile, rpc)
    quorum = session.settings.quorum
    with connect(urls, quorum or majority(len(urls)), chosen) as rpc:
        if path.exists():
            made = Deployment.load(path).model_copy(update={"rpc_urls": urls, "quorum": quorum})
            made.verify(rpc)
        else:
            with session.output.progress("Deploying six contracts …"):
                made = Administrator.deploy(session.signer, rpc, chosen, folder / JOURNAL)
            made = made.model_copy(update={"quorum": quorum})
            made.verify(rpc)
            made.save(path)
    found = {"file": str(path), **made.model_dump(mode="json")}
    session.output.result(found, facts(found))


def _profile(name: str | None, rpc: Rpc) -> NetworkProfile:
    return load_profile(name) if name is not None else profile_of_chain(rpc.chain_id())


def _state(url: str, chain_id: int) -> dict[str, Any]:
    """Return what one endpoint answers, and what is wrong with it."""
    found: dict[str, Any] = dict.fromkeys(("chain_id", "block", "behind", "problem"))
    try:
        with Rpc(url) as rpc:
            found["chain_id"] = rpc.chain_id()
            block = parse_block(rpc.request("eth_getBlockByNumber", ["latest", False]))
        found |= {"block": block.number, "behind": round(time.time() - block.time)}
        if found["chain_id"] != chain_id:
            found["problem"] = f"serves chain {found['chain_id']}, not {chain_id}"
    except DataTokenError as error:
        found["problem"] = error.message
    return {"url": url, **found}

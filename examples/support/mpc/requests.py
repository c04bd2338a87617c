"""Compute requests, step by step: what ``rtt-tracer run`` does in one go.

The refusals need requests that no honest command would make: signed by somebody else, sent
twice. The honest ones go through the command (`examples.support.mpc.runs`).
"""

import time
from collections.abc import Mapping

from datatoken.authorization.reasons import Refused
from datatoken.authorization.request import SignedRequest, run_id
from datatoken.ddo.canonical import canonical_bytes
from datatoken.errors import DataTokenError
from datatoken.service.assets.models import Party
from datatoken.types import Hex32, Scalar
from examples.support.mpc.consent import children_of
from examples.support.mpc.world import CreditWorld
from rtt_tracer.requester import make_wish, sign_wish

LIMIT, POLL = 240.0, 0.3


def sign(
    world: CreditWorld, job: Hex32, given: Mapping[str, Scalar], signer: str = "C"
) -> SignedRequest:
    """Sign a compute request for everybody in a job, and put it into the store.

    Parameters
    ----------
    signer : str
        Whose key signs: only that of the algorithm's owner is any good.
    """
    site = world.site(world.accounts["C"])
    wish = make_wish(site, job, given)
    with world.fintech() as owner:
        signed = sign_wish(owner, wish)
    if signer == "C":
        return signed
    forged = SignedRequest(
        request=signed.request,
        signature=world.accounts[signer].signer.sign_full(signed.request.typed_data()),
    )
    site.store.put(canonical_bytes(forged))
    return forged


def request_of(world: CreditWorld, digest: Hex32) -> SignedRequest:
    """Return a signed request from the store."""
    return world.owner("C").request(digest)


def send(world: CreditWorld, signed: SignedRequest) -> dict[str, str]:
    """Have C send a request to all services of its job; return asset → reason of a refusal.

    An asset whose service has started its part has an empty text.
    """
    answers = {}
    for asset in assets_of(world, signed):
        host = world.host_of(asset)
        with world.client(host.name) as client:
            try:
                client.start(signed.request.job, signed.digest())
                answers[asset] = ""
            except Refused as error:
                answers[asset] = error.reason.value
            except DataTokenError as error:
                answers[asset] = error.code
    return answers


def wait(world: CreditWorld, signed: SignedRequest) -> dict[str, Party]:
    """Wait until all parts of a run have ended; return asset → how."""
    run, found = run_id(signed.digest()), dict[str, Party]()
    deadline = time.monotonic() + LIMIT
    waiting = assets_of(world, signed)
    while waiting and time.monotonic() < deadline:
        for asset in list(waiting):
            party = part_of(world, asset, run)
            if party is not None and party.state.final:
                found[asset] = party
                waiting.remove(asset)
        time.sleep(POLL)
    return found


def part_of(world: CreditWorld, asset: str, run: str) -> Party | None:
    """Return what an asset's service says of its part of a run."""
    with world.client(world.host_of(asset).name) as client:
        parties = client.job(run).parties
    return next((party for party in parties if party.asset == world.dts[asset]), None)


def assets_of(world: CreditWorld, signed: SignedRequest) -> list[str]:
    """Return the assets that a request addresses."""
    algorithm = world.site(world.accounts["C"]).reader.job(signed.request.job).algorithm
    return children_of(world, algorithm)

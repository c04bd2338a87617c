"""Consent over HTTP: the fintech asks asset services for grants, the owners' policy answers."""

import time
from dataclasses import dataclass

from datatoken.errors import RunFailedError
from datatoken.service.assets.client import AssetServiceClient
from datatoken.service.assets.models import Authorization, AuthorizationState
from datatoken.service.problems import ServiceError
from datatoken.types import Hex32
from examples.support.mpc.world import CreditWorld

ANSWER = 60.0
POLL = 0.2


@dataclass(frozen=True)
class Answer:
    """What a service says to a request for a grant."""

    state: AuthorizationState
    id: str = ""
    why: str = ""
    violations: tuple[str, ...] = ()


def ask(world: CreditWorld, asset: str, algorithm: Hex32, note: str = "") -> Answer:
    """Have C ask for a grant and wait until the service has granted, refused or queued it."""
    with world.client(world.host_of(asset).name) as client:
        try:
            asked = client.ask(world.dts[asset], algorithm, note)
        except ServiceError as error:
            return Answer(AuthorizationState.REFUSED, "", error.message, tuple(error.violations))
        return _settled(client, asked)


def approve(world: CreditWorld, asset: str, asked: Answer) -> Answer:
    """Have the asset's owner say yes to a queued request, over HTTP, and wait for the grant."""
    host = world.host_of(asset)
    with world.client(host.name, caller=host.owner.name) as client:
        return _settled(client, client.approve(asked.id))


def _settled(client: AssetServiceClient, asked: Authorization) -> Answer:
    deadline = time.monotonic() + ANSWER
    while asked.state is AuthorizationState.APPROVED and time.monotonic() < deadline:
        time.sleep(POLL)
        asked = client.authorization(asked.id)
    return Answer(asked.state, asked.id, asked.why, tuple(asked.violations))


def ask_all(world: CreditWorld, algorithm: Hex32) -> None:
    """Ask for every grant that an algorithm needs; have the owners approve what is queued.

    Raises
    ------
    RunFailedError
        When one is not granted.
    """
    for asset in children_of(world, algorithm):
        answer = ask(world, asset, algorithm)
        if answer.state is AuthorizationState.QUEUED:
            answer = approve(world, asset, answer)
        if answer.state is not AuthorizationState.GRANTED:
            raise RunFailedError(f"{asset} was not granted: {answer.why}")


def children_of(world: CreditWorld, algorithm: Hex32) -> list[str]:
    """Return the assets that an algorithm is composed of, by this demo's names."""
    site = world.site(world.accounts["admin"])
    return [world.name_of(dt) for dt in site.documents.ddo(algorithm).children]


def granted(world: CreditWorld, algorithm: Hex32) -> list[str]:
    """Return the assets whose grant to an algorithm is on the chain now."""
    site = world.site(world.accounts["admin"])
    return [
        name
        for name in children_of(world, algorithm)
        if site.reader.grant(algorithm, world.dts[name]).active
    ]


def post(world: CreditWorld, title: str, algorithm: Hex32) -> Hex32:
    """Have C create a task and post an algorithm as its job; return the job."""
    with world.institution("C") as maker:
        return maker.post_job(maker.create_task(title, title), algorithm)

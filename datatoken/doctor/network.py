"""Checks of what the installation talks to: chain, contracts, store, recorder."""

import time
from collections.abc import Iterator

import httpx

from datatoken.chain.deployment import Deployment
from datatoken.chain.pinning import parse_block
from datatoken.chain.rpc import Rpc
from datatoken.doctor.findings import Finding, State
from datatoken.errors import DataTokenError, StoreError
from datatoken.store import open_store
from datatoken.text import clean

PROBE = b"datatoken doctor was here\n"
SLOW_SECONDS = 1.0
SECONDS = 5.0


def endpoints(deployment: Deployment) -> Iterator[Finding]:
    """Check each endpoint alone: chain, contracts, age of its newest block, speed."""
    profile = deployment.network_profile()
    number = len(deployment.rpc_urls)
    enough = number > 1 or profile.stand_in
    yield Finding(
        "chain",
        State.OK if enough else State.WARNING,
        f"Chain {deployment.chain_id}, profile {profile.name}: "
        f"{deployment.voices()} of {number} endpoints have to agree.",
        "" if enough else "It is believed whatever it says: name several in rpc_urls.",
    )
    for url in deployment.rpc_urls:
        shown = clean(url)
        try:
            with Rpc(url, SECONDS) as rpc:
                deployment.verify(rpc)
                started = time.monotonic()
                header = rpc.request("eth_getBlockByNumber", [profile.finality, False])
                took = time.monotonic() - started
        except DataTokenError as error:
            yield Finding("chain", State.ERROR, f"{shown}: {error.message}", error.hint)
            continue
        block = parse_block(header)
        age = time.time() - block.time
        if abs(age) > profile.clock_bound:
            yield Finding(
                "chain",
                State.ERROR,
                f"{shown}: its newest block is {age:.0f} s away from this machine's clock; "
                f"gates refuse beyond {profile.clock_bound:g} s (STALE_VIEW).",
                "Set the clock by NTP; if it is right, the node lags: use another endpoint.",
            )
        else:
            slow = took > SLOW_SECONDS
            yield Finding(
                "chain",
                State.WARNING if slow else State.OK,
                f"{shown}: block {block.number}, {age:.0f} s old, answered in {took * 1e3:.0f} ms.",
                "Every decision waits for it: use a nearer endpoint." if slow else "",
            )


def store(address: str) -> Iterator[Finding]:
    """Check that a store keeps and returns a block; the block is always the same one."""
    opened = open_store(address)
    started = time.monotonic()
    digest = opened.put(PROBE)
    if opened.get(digest) != PROBE:
        raise StoreError("The store returned another block than was put.")
    took = time.monotonic() - started
    yield Finding("store", State.OK, f"{clean(address)}: put and read in {took * 1e3:.0f} ms.")


def recorder(url: str) -> Iterator[Finding]:
    """Check that a recorder answers, and how it says it is."""
    mend = "Start it (datatoken recorder), or correct the address in the DDO."
    try:
        answer = httpx.get(
            f"{url.rstrip('/')}/healthz", timeout=SECONDS, trust_env=False, follow_redirects=False
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        what = f"{clean(url)} is out of reach: {type(error).__name__}."
        yield Finding("recorder", State.ERROR, what, mend)
        return
    good = answer.status_code == 200
    yield Finding(
        "recorder",
        State.OK if good else State.ERROR,
        f"{clean(url)} answers /healthz with {answer.status_code}.",
        "" if good else f"It says: {clean(answer.text[:200])}",
    )

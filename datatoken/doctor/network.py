"""Checks of what the installation talks to: chain, contracts, store, recorder."""

import os
import ssl
import time
from collections.abc import Iterator

from datatoken.chain.deployment import Deployment
from datatoken.chain.pinning import Block, parse_block
from datatoken.chain.profiles import NetworkProfile
from datatoken.chain.rpc import Rpc
from datatoken.doctor.findings import Finding, State, attempt
from datatoken.errors import DataTokenError, StoreError
from datatoken.service.http import ServiceHttp
from datatoken.store import open_store
from datatoken.text import clean, show_address

PROBE = b"datatoken doctor was here\n"
SLOW_SECONDS = 1.0
SECONDS = 5.0
MAX_HEALTH = 64 * 1024
AUTHORITIES = "SSL_CERT_FILE"


def authorities() -> Iterator[Finding]:
    """Check the variable that names whom TLS trusts: every connection reads it first."""
    path = os.environ.get(AUTHORITIES)
    if not path:
        return
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        yield Finding(
            "tls",
            State.ERROR,
            f"{AUTHORITIES} names {clean(path)}, which can't be used: "
            f"{error.strerror or 'it is no PEM file'}. Nothing is reached with it so, and chain, "
            "store and recorders were not looked at.",
            f"Correct the variable {AUTHORITIES}, or unset it.",
        )
    else:
        yield Finding("tls", State.OK, f"{AUTHORITIES} names {clean(path)}.")


def endpoints(deployment: Deployment) -> Iterator[Finding]:
    """Check the quorum, then each endpoint alone: chain, contracts, newest block, speed."""
    profile = deployment.network_profile()
    yield _quorum(deployment, profile)
    for url in deployment.rpc_urls:
        yield from attempt("chain", lambda url=url: _endpoint(deployment, url, profile))  # type: ignore[misc]


def _quorum(deployment: Deployment, profile: NetworkProfile) -> Finding:
    number, voices = len(deployment.rpc_urls), deployment.voices()
    what = (
        f"Chain {deployment.chain_id}, profile {clean(profile.name)}: "
        f"{voices} of {number} endpoints have to agree."
    )
    try:
        deployment.connect().close()
    except DataTokenError as error:
        return Finding("chain", State.ERROR, f"{what} {error.message}", error.hint)
    if number > 1 and voices == 1:
        mend = f'Each is believed whatever it says: set "quorum": {number // 2 + 1}.'
        return Finding("chain", State.WARNING, what, mend)
    if number == 1 and not profile.stand_in:
        mend = "It is believed whatever it says: name several in rpc_urls."
        return Finding("chain", State.WARNING, what, mend)
    return Finding("chain", State.OK, what)


def _endpoint(deployment: Deployment, url: str, profile: NetworkProfile) -> Iterator[Finding]:
    try:
        with Rpc(url, SECONDS) as rpc:
            deployment.verify(rpc)
            started = time.monotonic()
            header = rpc.request("eth_getBlockByNumber", [profile.finality, False])
            took = time.monotonic() - started
        block = parse_block(header)
    except DataTokenError as error:
        yield Finding("chain", State.ERROR, f"{show_address(url)}: {error.message}", error.hint)
    else:
        yield _judged(show_address(url), block, took, profile)


def _judged(place: str, block: Block, took: float, profile: NetworkProfile) -> Finding:
    age = time.time() - block.time
    if abs(age) > profile.clock_bound:
        return Finding(
            "chain",
            State.ERROR,
            f"{place}: its newest block is {age:.0f} s away from this machine's clock; "
            f"gates refuse beyond {profile.clock_bound:g} s (STALE_VIEW).",
            "Set the clock by NTP; if it is right, the node lags: use another endpoint.",
        )
    slow = took > SLOW_SECONDS
    return Finding(
        "chain",
        State.WARNING if slow else State.OK,
        f"{place}: block {block.number}, {age:.0f} s old, answered in {took * 1e3:.0f} ms.",
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
    yield Finding(
        "store", State.OK, f"{show_address(address)}: put and read in {took * 1e3:.0f} ms."
    )


def recorder(url: str) -> Iterator[Finding]:
    """Check that a recorder answers, and how it says it is."""
    mend = "Start it (datatoken recorder), or correct the address in the DDO."
    try:
        with (
            ServiceHttp(url, SECONDS) as http,
            http.stream("GET", "/healthz", limit=MAX_HEALTH) as (status, parts),
        ):
            said = b"".join(parts).decode(errors="replace")
    except DataTokenError as error:
        what = f"{show_address(url)} is out of reach. {error.message}"
        yield Finding("recorder", State.ERROR, what, mend)
        return
    good = status == 200
    yield Finding(
        "recorder",
        State.OK if good else State.ERROR,
        f"{show_address(url)} answers /healthz with {status}.",
        "" if good else f"It says: {clean(said[:200])}",
    )

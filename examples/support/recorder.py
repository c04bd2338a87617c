"""The recorder of a demo: a process with a key of its own."""

from collections.abc import Sequence

import httpx

from datatoken.chain.events import RoundLogged
from datatoken.roles.site import Site
from datatoken.types import Address, Hex32
from examples.support.ground import Ground
from examples.support.processes import Process, Processes, program

START = 60.0


def endpoint_of(port: int) -> str:
    """Return where a recorder on this machine answers."""
    return f"http://127.0.0.1:{port}"


def start_recorder(
    processes: Processes, ground: Ground, port: int, auditors: Sequence[Address] = ()
) -> Process:
    """Start the recorder and wait until it answers."""
    account = ground.accounts["recorder"]
    command = [program("datatoken"), "recorder"]
    command += ["--deployment", str(ground.deployment_path), "--store", ground.store]
    command += ["--keystore", str(account.keystore), "--folder", str(account.folder)]
    command += ["--password-file", str(account.password_file)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    for auditor in auditors:
        command += ["--auditor", auditor]
    process = processes.start("recorder", command)
    process.wait_until(lambda: answers(f"{endpoint_of(port)}/healthz"), "its health", START)
    return process


def answers(url: str) -> bool:
    """Tell whether an HTTP server is there and well."""
    try:
        return httpx.get(url, timeout=2.0).status_code < 500
    except httpx.HTTPError:
        return False


def gas_of_rounds(site: Site, job: Hex32, recorder: Address) -> dict[int, int]:
    """Return round number → gas of the transaction that logged it."""
    gas = {}
    for event in site.events.history(RoundLogged, job=job, sender=recorder):
        if isinstance(event, RoundLogged):
            receipt = site.rpc.request("eth_getTransactionReceipt", [event.tx_hash])
            gas[event.round] = int(receipt["gasUsed"], 16)
    return gas

"""Four services and one run in a network namespace of their own, with every packet recorded.

    unshare -Urn python -m tests.rtt_tracer.service.captured FOLDER

Leaves FOLDER/flows/<number>, one file for each direction of a connection, and prints what a test
needs to know about them. After the run it says one of the bank's rows aloud: the test must hear it.
"""

import json
import socket
import sys
from pathlib import Path
from typing import Any

from datatoken.ports import free_port
from datatoken.service.client import RecorderClient
from rtt_tracer.agreement.introductions import parse_introduction
from tests.rtt_tracer.service.hosts import Banks
from tests.rtt_tracer.service.tap import Tap, loopback_up
from tests.support.chain import start_chain

ROWS = 8000


def main() -> None:
    folder = Path(sys.argv[1])
    loopback_up()
    tap = Tap()
    tap.start()
    chain = start_chain(folder / "chain")
    banks = Banks.make(chain, folder / "banks", ROWS, DATATOKEN_KEEP_WORK="1")
    try:
        _, job, request = banks.ask(epochs=1, batch_size=4000)
        run = banks.begin(job, request)
        said = banks.ended(run)
        assert {state for state, _ in said.values()} == {"finished"}, said
        for host in banks.hosts:
            host.owner().logs(run)
            list(host.requester().all_events(run))
        found = facts(banks, job, request, run)
        aloud(folder / "banks" / "bank-a.csv", found)
    finally:
        tap.stop()
        banks.close()
        chain.close()
    (folder / "flows").mkdir()
    for number, flow in enumerate(tap.flows):
        (folder / "flows" / str(number)).write_bytes(flow.content)
    found["flows"] = [[flow.source, flow.target, flow.opened] for flow in tap.flows]
    found |= {"lost": tap.lost, "others": tap.others}
    print(json.dumps(found))


def facts(banks: Banks, job: str, request: str, run: str) -> dict[str, Any]:
    """Return ports by what they are, and where the parties' folders are."""
    world = banks.world
    client = RecorderClient(
        f"http://127.0.0.1:{world.port}",
        world.c.signer,
        recorder=world.recorder_account.address,
    )
    introductions = [
        parse_introduction(content).introduction for content in client.introductions(job, request)
    ]
    client.close()
    names = {host.asset.dt: host.asset.name for host in banks.hosts}
    ports = {f"service {host.asset.name}": port_of(host.url) for host in banks.hosts}
    ports |= {"chain": port_of(world.chain.url), "recorder": world.port}
    for one in introductions:
        ports[f"control {names[one.dt]}"] = one.control.port
        if one.link is not None:
            ports[f"link {names[one.dt]}"] = one.link.port
    return {
        "ports": ports,
        "folders": {host.asset.name: str(host.run_folder(run)) for host in banks.hosts},
    }


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def aloud(table: Path, found: dict[str, Any]) -> None:
    """Send a row over a connection of its own, in the clear."""
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", port)) as server,
        socket.create_connection(("127.0.0.1", port)) as speaker,
    ):
        listener, _ = server.accept()
        speaker.sendall(table.read_bytes().splitlines()[1])
        listener.recv(1000)
        listener.close()
    found["ports"]["aloud"] = port


if __name__ == "__main__":
    main()

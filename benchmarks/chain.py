"""What the chain costs: reads of 1, 100 and 10,000 records, and transactions per second.

    python benchmarks/chain.py [--json] [--endpoints 3] [--transactions 200]

One real anvil. With several endpoints each is a real HTTP server in front of it, and more
than half of them have to agree.

Figures
-------
reads_ms
    Median milliseconds to read records at one block (goals 10, 15 and 1,000), by how many.
tx_per_s
    Transactions a second, mined and with their receipt: one account, one journal, threads.
quorum_reads_ms
    The same reads where two of three endpoints have to agree.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datatoken.chain.anvil import Anvil
from datatoken.chain.contracts import Contracts
from datatoken.chain.deployment import Deployment, deploy
from datatoken.chain.profiles import load_profile
from datatoken.chain.reader import ChainReader
from datatoken.chain.rpc import Rpc
from datatoken.chain.signer import Signer
from datatoken.chain.transactions import Sender
from datatoken.types import AssetKind, Hex32

GOALS = {"1": 10.0, "100": 15.0, "10000": 1000.0}
RUNS = {"1": 200, "100": 100, "10000": 5}
MINTED = 20
THREADS = 4


def fresh() -> Hex32:
    """Return a random digest."""
    return "0x" + os.urandom(32).hex()


def mint(sender: Sender, contracts: Contracts) -> list[Hex32]:
    """Mint a few DTs; the other ids of a read are unknown ones, which cost the same words."""
    found = []
    for salt in range(MINTED):
        intent = contracts.tokens.mint(AssetKind.DATA, fresh(), fresh(), [], salt + 1)
        found.append(sender.send(intent).events[0].dt)  # type: ignore[attr-defined]
    return found


def reads(deployment: Deployment, dts: Sequence[Hex32], state: Path) -> dict[str, float]:
    """Measure reads of 1, 100 and 10,000 records."""
    found = {}
    with deployment.connect(30.0, state) as rpc:
        reader = ChainReader(rpc, deployment)
        for size, runs in RUNS.items():
            asked = [*dts, *(fresh() for _ in range(int(size)))][: int(size)]
            reader.records(asked)
            times = []
            for _ in range(runs):
                started = time.perf_counter()
                records = reader.records(asked)
                times.append(time.perf_counter() - started)
                if not records[asked[0]].exists or len(records) != len(asked):
                    raise SystemExit("The chain has lost a record.")
            found[size] = round(statistics.median(times) * 1000, 2)
    return found


def transactions(sender: Sender, contracts: Contracts, count: int) -> float:
    """Measure transactions that are waited for, from several threads."""

    def work() -> None:
        for _ in range(count // THREADS):
            sender.send(contracts.market.create_task(fresh()))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return round(count // THREADS * THREADS / (time.perf_counter() - started), 1)


def measure(folder: Path, endpoints: int, count: int) -> dict[str, Any]:
    """Deploy on a new chain and measure."""
    from tests.support.proxy import proxy_to

    profile, signer = load_profile("anvil"), Signer.random()
    with Anvil.start() as anvil, Rpc(anvil.url) as rpc, ExitStack() as stack:
        anvil.fund(signer.address)
        deployment = deploy(signer, rpc, profile, journal=folder / "journal.sqlite")
        contracts = Contracts.at(rpc, deployment)
        with Sender(rpc, signer, profile, folder / "journal.sqlite") as sender:
            sender.send(contracts.institutions.add_institution(signer.address, "A"))
            dts = mint(sender, contracts)
            found: dict[str, Any] = {"reads_ms": reads(deployment, dts, folder)}
            found["tx_per_s"] = transactions(sender, contracts, count)
        nodes = [stack.enter_context(proxy_to(anvil.url)) for _ in range(endpoints)]
        if len(nodes) > 1:
            urls = tuple(node.url for node in nodes)
            several = deployment.model_copy(update={"rpc_urls": urls})
            found["quorum_reads_ms"] = reads(several, dts, folder)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--endpoints", type=int, default=3, help="for the quorum (0: leave out)")
    parser.add_argument("--transactions", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.endpoints, given.transactions)
    if given.json:
        print(json.dumps(found))
        return
    for size, took in found["reads_ms"].items():
        print(f"read {size} records: {took} ms (goal {GOALS[size]:.0f} ms)")
    for size, took in found.get("quorum_reads_ms", {}).items():
        print(f"read {size} records by quorum: {took} ms")
    print(f"transactions: {found['tx_per_s']} a second")


if __name__ == "__main__":
    main()

"""Gas of every write and time of the one view, on a real anvil with the compiled contracts.

    python benchmarks/gas.py [--json]

Goals (EVM figures, optimizer on): mint 102k with or without children, grant 53k, revoke 38k,
post job 120k + 3.1k a leaf + 8.5k a composite, round log 31k warm, the view 5 ms for 100 DTs.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from datatoken.chain.anvil import Anvil
from datatoken.chain.contracts import Contracts
from datatoken.chain.deployment import Deployment, deploy
from datatoken.chain.events import JobPosted, RoundLogged, TaskCreated, TokenMinted
from datatoken.chain.profiles import load_profile
from datatoken.chain.reader import ChainReader
from datatoken.chain.rpc import Rpc
from datatoken.chain.signer import Signer
from datatoken.chain.transactions import Sender
from datatoken.types import ZERO32, AssetKind, Hex32

GOALS = {
    "mint": 102_000.0,
    "grant": 53_000.0,
    "revoke": 38_000.0,
    "post_job_base": 120_000.0,
    "post_job_per_leaf": 3_100.0,
    "post_job_per_composite": 8_500.0,
    "round_log": 31_000.0,
    "view_ms_100": 5.0,
}
FEW, MANY = 1, 21
VIEW_DTS = 100
VIEW_RUNS = 200
VIEW_BATCH = 20


def fresh() -> Hex32:
    """Return a random digest."""
    return "0x" + os.urandom(32).hex()


class Bench:
    """One institution that owns everything and posts its own jobs."""

    def __init__(self, sender: Sender, deployment: Deployment) -> None:
        self.sender = sender
        self.deployment = deployment
        self.contracts = Contracts.at(sender.rpc, deployment)
        self.task = sender.send(self.contracts.market.create_task()).event(TaskCreated).id

    def mint(self, children: Sequence[Hex32] = (), *, top: bool = False) -> tuple[Hex32, int]:
        """Mint a DT; return it and the gas."""
        kind = AssetKind.ALGORITHM if top else AssetKind.DATA
        receipt = self.sender.send(self.contracts.tokens.mint(kind, fresh(), fresh(), children))
        return receipt.event(TokenMinted).dt, receipt.gas_used

    def grant(self, child: Hex32, parent: Hex32) -> int:
        """Grant a DT for the first time; return the gas."""
        expiry = int(time.time()) + 30 * 86_400
        return self.sender.send(self.contracts.tokens.grant(child, parent, expiry, 10)).gas_used

    def revoke(self, child: Hex32, parent: Hex32) -> int:
        """Revoke a grant; return the gas."""
        return self.sender.send(self.contracts.tokens.revoke(child, parent)).gas_used

    def compose(self, children: Sequence[Hex32], *, top: bool = False) -> Hex32:
        """Mint a composite and grant its children to it."""
        parent, _ = self.mint(children, top=top)
        self.sender.send(self.contracts.tokens.grant_many(children, parent))
        return parent

    def post(self, algorithm: Hex32, below: Sequence[Hex32]) -> tuple[Hex32, int]:
        """Post a job; return it and the gas."""
        intent = self.contracts.market.post_job(self.task, algorithm, self.sender.address, below)
        receipt = self.sender.send(intent)
        return receipt.event(JobPosted).job, receipt.gas_used

    def post_leaves(self, count: int) -> int:
        """Post an algorithm over some leaves; return the gas."""
        leaves = [self.mint()[0] for _ in range(count)]
        return self.post(self.compose(leaves, top=True), leaves)[1]

    def post_composites(self, count: int) -> int:
        """Post an algorithm over some composites of one leaf each; return the gas."""
        leaves = [self.mint()[0] for _ in range(count)]
        composites = [self.compose([leaf]) for leaf in leaves]
        # The children of the algorithm first, then each composite's block.
        return self.post(self.compose(composites, top=True), [*composites, *leaves])[1]

    def round_log(self, job: Hex32) -> int:
        """Log two rounds; return the gas of the second (the slot is in use)."""
        log = self.contracts.log
        first = self.sender.send(log.append(job, "0x" + "00" * 28, fresh()))
        head = first.event(RoundLogged).head
        return self.sender.send(log.append(job, head, fresh())).gas_used

    def view_ms(self, count: int) -> float:
        """Return the time of a snapshot of `count` DTs, all minted and granted.

        The median of the quietest batch: the machine may be busy with something else.
        """
        leaves = [self.mint()[0] for _ in range(count - 1)]
        algorithm = self.compose(leaves, top=True)
        job, _ = self.post(algorithm, leaves)
        edges = [(algorithm, ZERO32), *((leaf, algorithm) for leaf in leaves)]
        reader = ChainReader(self.sender.rpc, self.deployment)
        times = []
        for _ in range(VIEW_RUNS):
            started = time.perf_counter()
            state = reader.snapshot(job, edges, [])
            times.append(1000 * (time.perf_counter() - started))
        if len(state.records) != count or not all(g.active for g in state.grants.values()):
            raise SystemExit("The view did not return what was minted and granted.")
        batches = (times[at : at + VIEW_BATCH] for at in range(0, VIEW_RUNS, VIEW_BATCH))
        return min(statistics.median(batch) for batch in batches)


def measure(bench: Bench) -> dict[str, float]:
    """Return all figures."""
    leaf, mint_leaf = bench.mint()
    children = [bench.mint()[0] for _ in range(50)]
    parent, mint_composite = bench.mint(children)
    grant = bench.grant(leaf, parent)
    revoke = bench.revoke(leaf, parent)
    first, second = bench.mint()[0], bench.mint()[0]
    job, _ = bench.post(bench.compose([first, second], top=True), [first, second])
    few, many = bench.post_leaves(FEW), bench.post_leaves(MANY)
    per_leaf = (many - few) / (MANY - FEW)
    few_composites, many_composites = bench.post_composites(FEW), bench.post_composites(MANY)
    per_composite = (many_composites - few_composites) / (MANY - FEW) - per_leaf
    return {
        "mint": max(mint_leaf, mint_composite),
        "grant": grant,
        "revoke": revoke,
        "post_job_base": round(few - FEW * per_leaf),
        "post_job_per_leaf": round(per_leaf),
        "post_job_per_composite": round(per_composite),
        "round_log": bench.round_log(job),
        "view_ms_100": round(bench.view_ms(VIEW_DTS), 2),
    }


def run() -> dict[str, float]:
    """Start a chain, deploy, measure, stop."""
    profile = load_profile("anvil")
    with tempfile.TemporaryDirectory() as folder, Anvil.start() as anvil, Rpc(anvil.url) as rpc:
        signer = Signer.random()
        anvil.fund(signer.address)
        journal = Path(folder) / "journal.sqlite"
        deployment = deploy(signer, rpc, profile, journal=journal)
        with Sender(rpc, signer, profile, journal) as sender:
            registry = Contracts.at(rpc, deployment).institutions
            sender.send(registry.add_institution(signer.address, "Benchmark"))
            return measure(Bench(sender, deployment))


def main() -> None:
    """Print the figures beside their goals."""
    parser = argparse.ArgumentParser(description="Gas of every write, time of the one view.")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    arguments = parser.parse_args()
    found = run()
    for name, goal in GOALS.items():
        mark = "" if found[name] <= goal else "  above its goal"
        print(f"{name:<24}{found[name]:>12,.10g}  goal {goal:>9,.10g}{mark}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()

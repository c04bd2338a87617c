"""MVP 1 and MVP 2 with a real IPFS node as everybody's store, by each of the two clients.

Acceptance: 17, 22, 40, 52, 56, 58, 65, 67
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from datatoken.chain.deployment import Deployment
from datatoken.chain.events import OperationRegistered, TokenMinted
from datatoken.chain.stand_in import start_network
from datatoken.ddo import parse_ddo
from datatoken.roles.site import Site
from datatoken.store import cid_of
from datatoken.types import Hex32, sha256_hex
from tests.support.ipfs_rpc import ipfs_node

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.demo, pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a node's RPC API."""
    with ipfs_node(tmp_path_factory.mktemp("ipfs") / "repo") as address:
        yield address


def run(demo: str, store: str, out: Path, *arguments: str) -> dict[str, Any]:
    """Run a demo on the node; return its last line."""
    command = [sys.executable, "-m", f"examples.{demo}", "--store", store, *arguments]
    done = subprocess.run(
        [*command, "--json", "--out", str(out)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=1400,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def block(node: str, digest: Hex32) -> bytes:
    """Ask the node itself for a block, by its CID."""
    reply = httpx.post(f"{node}/api/v0/block/get", params={"arg": cid_of(digest)}, timeout=30)
    return reply.raise_for_status().content


def all_on_the_node(node: str, out: Path) -> dict[str, int]:
    """Start the demo's chain again; hold each digest on it against the node's bytes; count."""
    (folder,) = out.iterdir()
    assert not (folder / "store").exists()
    deployment = Deployment.load(folder / "deployment.json")
    anvil = start_network(
        deployment.network_profile(),
        int(deployment.rpc_urls[0].rpartition(":")[2]),
        folder / "chain" / "state.json",
    )
    try:
        with Site.open(deployment, node, folder / "reader") as site:
            operations = site.events.history(OperationRegistered)
            for event in operations:
                assert isinstance(event, OperationRegistered)
                for digest in (event.bundle, event.metadata):
                    assert sha256_hex(block(node, digest)) == digest
            kinds = {"operation": len(operations)}
            for minted in site.events.history(TokenMinted):
                assert isinstance(minted, TokenMinted)
                path = site.contracts.tokens.token(minted.dt).ddo
                content = block(node, path)
                assert sha256_hex(content) == path
                ddo = parse_ddo(content)
                assert (ddo.dt, ddo.proof) == (minted.dt, minted.proof)
                kind = ddo.service.type
                kinds[kind] = kinds.get(kind, 0) + 1
            return kinds
    finally:
        anvil.stop()


def test_mvp2_on_an_ipfs_node(node: str, tmp_path: Path) -> None:
    """Acceptance: 17, 22, 40, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76."""
    told = run("mvp2_wearables", node, tmp_path, "--users", "2", "--rounds", "2")

    assert told["members_by_round"] == [["user-1", "user-2"]] * 2
    codes = {refusal["code"] for refusal in told["refusals"]}
    assert codes >= {"OPERATION_MISMATCH", "JOB_UNKNOWN", "CHAIN_UNREACHABLE"}
    kinds = all_on_the_node(node, tmp_path)
    assert kinds["operation"] == 2
    assert kinds["data"] >= 3


@pytest.mark.spu
def test_mvp1_on_an_ipfs_node_by_the_library(node: str, tmp_path: Path) -> None:
    """Acceptance: 17, 22, 40, 52, 56, 58, 65."""
    size = ["--protocol", "CHEETAH", "--rows", "2000", "--epochs", "3", "--no-refusals"]
    told = run("mvp1_banks", f"ipfshttpclient+{node}", tmp_path, *size)

    assert sorted(map(int, told["lines"])) == [*range(51, 67)]
    assert told["auc"] == pytest.approx(told["auc_clear"], abs=0.03)
    kinds = all_on_the_node(node, tmp_path)
    assert kinds == {"operation": 3, "data": 2, "compute": 2, "algorithm": 4}

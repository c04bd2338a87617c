"""A real IPFS node that serves the Kubo RPC API (js-ipfs), for tests and benchmarks."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parent / "ipfs_daemon"


@contextmanager
def ipfs_node(repo: Path) -> Iterator[str]:
    """Run a node, offline, and yield its API's URL."""
    if not (FOLDER / "node_modules/ipfs-daemon").is_dir():
        raise RuntimeError("The IPFS node is not installed. Run make ipfs-node.")
    process = subprocess.Popen(
        ["node", str(FOLDER / "daemon.mjs"), str(repo)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=repo.parent,
        env=os.environ | {"HOME": str(repo.parent)},
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            _, why = process.communicate(timeout=10)
            raise RuntimeError(f"The IPFS node did not start: {why[-500:]}")
        yield str(json.loads(line)["api"])
    finally:
        process.kill()
        process.wait()

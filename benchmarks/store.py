"""What verification costs: 1,000 documents put and read in each backend, against its bare client.

    make ipfs-node && python -m benchmarks.store --json

Bare is what one would write without this package, on the same node and in the same run:

- ``folder``: the same flatfs layout, each file written elsewhere, synced (its folder too) and
  renamed; read back by `Path.read_bytes`.
- ``kubo``: `httpx.Client` and ``dag/import`` of the same CAR files, ``block/get``.
- ``ipfshttpclient``: the library's ``dag.imprt`` and ``block.get`` in one session.

Ours is `open_store`: digests checked, bytes and time capped. The two take turns, block after
block of documents, so that a busy machine slows both. Ratios are rates, ours over bare.
"""

import argparse
import io
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import ipfshttpclient

from datatoken.store import cid_of, open_store
from datatoken.store.car import car_of
from datatoken.store.cid import flatfs_key
from datatoken.store.folder import TEMPORARY
from datatoken.store.ipfs_client import multiaddress
from datatoken.types import sha256_hex
from tests.support.ipfs_rpc import ipfs_node

TURNS = 10
DOCUMENT_BYTES = 4096


@dataclass(frozen=True)
class Client:
    """One way to keep documents and to read them."""

    put: Callable[[bytes], object]
    get: Callable[[str], bytes]


def bare_folder(root: Path) -> Client:
    """Files in the same layout, synced."""
    (root / TEMPORARY).mkdir(parents=True)

    def path_of(digest: str) -> Path:
        key = flatfs_key(digest)
        return root / key[-3:-1] / f"{key}.data"

    def put(content: bytes) -> None:
        path = path_of(sha256_hex(content))
        path.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=root / TEMPORARY, delete=False) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    return Client(put, lambda digest: path_of(digest).read_bytes())


def bare_httpx(url: str) -> Client:
    """Call the RPC API by httpx."""
    client = httpx.Client(base_url=f"{url}/api/v0/", timeout=60)

    def put(content: bytes) -> None:
        files = {"file": ("block.car", car_of(sha256_hex(content), content))}
        client.post("dag/import", files=files).raise_for_status()

    def get(digest: str) -> bytes:
        return client.post("block/get", params={"arg": cid_of(digest)}).raise_for_status().content

    return Client(put, get)


def bare_library(url: str) -> Client:
    """Call the RPC API by ipfshttpclient."""
    client = ipfshttpclient.Client(multiaddress(url), session=True)

    def put(content: bytes) -> None:
        client.dag.imprt(io.BytesIO(car_of(sha256_hex(content), content)))

    return Client(put, lambda digest: bytes(client.block.get(cid_of(digest))))


def measure(bare: Client, ours: Client, documents: int) -> dict[str, float]:
    """Let both put and read documents of their own, in turns."""
    rng = random.Random(1)
    seconds = {"put": [0.0, 0.0], "get": [0.0, 0.0]}
    each = max(1, documents // TURNS)
    for turn in range(TURNS):
        order = ((0, bare), (1, ours)) if turn % 2 else ((1, ours), (0, bare))
        for side, client in order:
            contents = [rng.randbytes(DOCUMENT_BYTES) for _ in range(each)]
            digests = [sha256_hex(content) for content in contents]
            seconds["put"][side] += timed(client.put, contents)
            seconds["get"][side] += timed(client.get, digests)
    rates = {f"{name}_per_s": round(each * TURNS / took[1], 1) for name, took in seconds.items()}
    ratios = {f"{name}_ratio": round(took[0] / took[1], 3) for name, took in seconds.items()}
    return rates | ratios


def timed(call: Callable[[Any], object], given: Sequence[object]) -> float:
    """Return the seconds that the calls took, one after the other."""
    started = time.perf_counter()
    for value in given:
        call(value)
    return time.perf_counter() - started


def ours(address: str) -> Client:
    """Open the store as everybody does."""
    store = open_store(address)
    return Client(store.put, store.get)


def run(documents: int) -> dict[str, dict[str, float]]:
    """Measure all backends."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {
            "folder": measure(bare_folder(folder / "bare"), ours(str(folder / "ours")), documents)
        }
        with ipfs_node(folder / "repo") as url:
            found["kubo"] = measure(bare_httpx(url), ours(url), documents)
            library = f"ipfshttpclient+{url}"
            found["ipfshttpclient"] = measure(bare_library(url), ours(library), documents)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--documents", type=int, default=1000, help="documents a backend")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    given = parser.parse_args(arguments)
    found = run(given.documents)
    if given.json:
        print(json.dumps(found))
        return 0
    for backend, figures in found.items():
        print(f"{backend:16}", *(f"{name} {value}" for name, value in figures.items()), sep="  ")
    print("Goal: ratios of 0.8 or more.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

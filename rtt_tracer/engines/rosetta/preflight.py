"""What all parties of a Rosetta run must want alike, and the files that its process reads.

Rosetta itself compares nothing: another learning rate or precision at one party ends with
exit code 0 and garbage everywhere. So the relays compare `Wanted` before a share exists.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datatoken.errors import BadInputError
from rtt_tracer.engines.base import EngineJob
from rtt_tracer.program import Program

PROTOCOLS = ("SecureNN",)
PARTIES = 3
FRACTION_BITS, LEAST_BITS, MOST_BITS = 16, 8, 20
STARTING = 0.75
"""Of the time to be ready: how long the others are waited for."""
PORT = 21_120
"""Where rank 0 listens in the empty network; the other ranks follow."""


@dataclass(frozen=True)
class Ports:
    """Where Rosetta listens, by rank, as one party sees it; all on 127.0.0.1.

    Attributes
    ----------
    by_rank : tuple of int
        The own one is Rosetta's, the others are the relay's.
    unconfined : bool
        They are the host's own, not those of an empty network.
    """

    by_rank: tuple[int, ...] = tuple(range(PORT, PORT + PARTIES))
    unconfined: bool = False

    def others(self, rank: int) -> list[int]:
        """Return the ports of the peers, by rank."""
        return [port for other, port in enumerate(self.by_rank) if other != rank]


def check_job(job: EngineJob) -> int:
    """Return the own rank.

    Raises
    ------
    BadInputError
        When Rosetta can't do what is asked.
    """
    if job.protocol not in PROTOCOLS:
        raise BadInputError(
            f"Rosetta runs {', '.join(PROTOCOLS)}, not {job.protocol}.",
            "Choose parameter protocol = SecureNN.",
        )
    if len(job.parties) != PARTIES or job.rank is None or job.rank >= PARTIES:
        raise BadInputError(
            f"{job.protocol} on Rosetta has {PARTIES} parties, not {len(job.parties)}."
        )
    return job.rank


def fraction_bits(parameters: Mapping[str, Any]) -> int:
    """Return the precision; raise `BadInputError` when Rosetta can't have it."""
    found = parameters.get("fraction-bits", FRACTION_BITS)
    if type(found) is not int or not LEAST_BITS <= found <= MOST_BITS:
        raise BadInputError(
            f"Parameter 'fraction-bits' must be {LEAST_BITS} to {MOST_BITS} on Rosetta, "
            f"not {found!r}."
        )
    return found


def hello(job: EngineJob, program: Program, engine: str, ports: Ports) -> dict[str, Any]:
    """Return what the party's relay says to its peers' (`same`, `input`), and needs itself."""
    rank = check_job(job)
    same = {
        "agreement": job.agreed,
        "engine": engine,
        "protocol": job.protocol,
        "precision": fraction_bits(job.parameters),
        "entry point": job.entry_point,
        "program": program_digest(job.folder / "bundle"),
        "number of rows": job.rows,
        "number of stages": program.stage_count(job.parameters),
        **{f"parameter {name}": value for name, value in job.parameters.items()},
    }
    return {
        "same": same,
        "input": job.column_owner,
        "inputs": job.inputs,
        "port": ports.by_rank[rank],
        "patience": min(job.progress_seconds, job.start_seconds * STARTING),
    }


def program_digest(bundle: Path) -> str:
    """Return sha256 over the names and bytes of the unpacked bundle."""
    total = hashlib.sha256()
    for path in sorted(path for path in bundle.rglob("*") if path.is_file()):
        name = path.relative_to(bundle).as_posix()
        total.update(f"{len(name)} {name} {path.stat().st_size}\n".encode())
        total.update(path.read_bytes())
    return total.hexdigest()


def write_files(job: EngineJob, program: Program, ports: Ports) -> None:
    """Write ``job.json`` and Rosetta's own configuration into the work folder."""
    rank, precision = check_job(job), fraction_bits(job.parameters)
    place = job.folder / "rosetta"
    for folder in (place, job.folder / "tmp", job.folder / "out/results"):
        folder.mkdir(parents=True, exist_ok=True)
    nothing = place / "none.pem"  # Rosetta ends without a word where this file is missing
    nothing.touch()
    mpc: dict[str, Any] = {
        "FLOAT_PRECISION": precision,
        "SAVER_MODE": 7,
        "SERVER_CERT": str(nothing),
        "SERVER_PRIKEY": str(nothing),
        "SERVER_PRIKEY_PASSWORD": "",
    }
    for other, port in enumerate(ports.by_rank):
        mpc[f"P{other}"] = {"NAME": f"P{other}", "HOST": "127.0.0.1", "PORT": port}
    config = place / "config.json"
    config.write_text(json.dumps({"PARTY_ID": rank, "MPC": mpc}))
    plain = {
        "rank": rank,
        "entry_point": job.entry_point,
        "agreed": job.agreed,
        "protocol": job.protocol,
        "parameters": dict(job.parameters),
        "fraction_bits": precision,
        "rows": job.rows,
        "stages": program.stage_count(job.parameters),
        "outputs": [one.name for one in program.outputs],
        "bounds": {one.name: one.bound for one in program.outputs if one.bound is not None},
        "config": str(config),
        "peers": ports.others(rank),
        "unconfined": ports.unconfined,
    }
    (job.folder / "job.json").write_text(json.dumps(plain, indent=1), encoding="utf-8")

"""Role ``spu.intersect``: which rows two parties have in common (spu.psi)."""

import csv
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spu import psi

from .failure import ENGINE_FAILED, OPERATION_UNFIT, PROTOCOL_INSECURE, Failure
from .job import Job, guarded, read_table
from .link import bytes_sent, connect, preflight
from .pipes import Pipes

PROTOCOL, RECEIVER = "psi-protocol", "psi-receiver"
PROTOCOLS = ("RR22", "KKRT", "ECDH")
BOTH = "both"
BUCKET = 1 << 20
KEYS = Path("out/results/ids.txt")
COLUMN = "id"


def intersect(job: Job, pipes: Pipes) -> None:
    """Find the common identifiers; a receiver keeps its own keys of those rows in `KEYS`.

    The digest at the end covers the identifiers when both learn them, so that the two
    supervisors can hold them against each other; else it is the agreed hash.
    """
    if job.world != 2:
        raise Failure(PROTOCOL_INSECURE, "An intersection is between two parties.")
    config = psi_config(job)
    table = read_table()
    names = identifiers(job, table)
    link = connect(job, pipes)
    pipes.ready(digest=preflight(link, job, []))
    pipes.wait(0)
    begun = time.monotonic()
    _write(Path("tmp/mine.csv"), names)
    try:
        psi.psi_execute(config, link)
    except RuntimeError as error:
        raise Failure(ENGINE_FAILED, "The intersection broke off; see the log.") from error
    digest = job.agreed
    receiver = setting(job.parameters, RECEIVER, (BOTH, "0", "1"))
    if receiver in (BOTH, str(job.rank)):
        common = set(_read(Path("tmp/common.csv")))
        keys = [str(key) for key, name in zip(table["ids"], names, strict=True) if name in common]
        KEYS.write_text("".join(f"{key}\n" for key in sorted(keys)), encoding="utf-8")
        if receiver == BOTH:
            digest = digest_of(common)
    link.stop_link()
    pipes.end(digest, {"seconds": time.monotonic() - begun, "bytes_sent": bytes_sent()})


def setting(parameters: Mapping[str, Any], name: str, allowed: Sequence[str]) -> str:
    """Return a parameter that must be one of some words; the first is the default."""
    value = parameters.get(name, allowed[0])
    if value not in allowed:
        raise Failure(PROTOCOL_INSECURE, f"{name} must be one of {', '.join(allowed)}.")
    return str(value)


def psi_config(job: Job) -> Any:
    """Return spu.psi's configuration."""
    receiver = setting(job.parameters, RECEIVER, (BOTH, "0", "1"))
    protocol = psi.PsiProtocolConfig(
        protocol=psi.parse_protocol(f"PROTOCOL_{setting(job.parameters, PROTOCOL, PROTOCOLS)}"),
        receiver_rank=0 if receiver == BOTH else int(receiver),
        bucket_size=BUCKET,
        broadcast_result=receiver == BOTH,
        ecdh_params=psi.EcdhParams(curve=psi.EllipticCurveType.CURVE_25519),
    )
    return psi.PsiExecuteConfig(
        protocol_conf=protocol,
        input_params=psi.InputParams(path="tmp/mine.csv", selected_keys=[COLUMN], keys_unique=True),
        output_params=psi.OutputParams(path="tmp/common.csv"),
    )


def identifiers(job: Job, table: Mapping[str, Any]) -> list[str]:
    """Return one identifier for each row, none twice, as hex: safe in any CSV."""
    given = list(guarded(job.code(), dict(table), dict(job.parameters)))
    if len(given) != job.rows or not all(isinstance(one, str) and one for one in given):
        raise Failure(
            OPERATION_UNFIT,
            f"The operation did not give one identifier for each of {job.rows} rows.",
        )
    if len(set(given)) != len(given):
        raise Failure(OPERATION_UNFIT, "Two rows have the same identifier.")
    return [str(one).encode().hex() for one in given]


def digest_of(names: set[str]) -> str:
    """Return the sha256 of some identifiers, sorted, one a line."""
    content = "".join(f"{name}\n" for name in sorted(names)).encode()
    return "0x" + hashlib.sha256(b"datatoken/intersection/1\n" + content).hexdigest()


def _write(path: Path, names: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([COLUMN])
        writer.writerows([name] for name in names)


def _read(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return [row[COLUMN] for row in csv.DictReader(file)]

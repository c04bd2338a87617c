"""Files between parties: shares of rows before stage 1, shares of results at the end."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datatoken.ddo.canonical import canonical_bytes
from datatoken.types import Hex32, sha256_hex
from rtt_tracer.agreement.plan import REQUESTER, Participant, Plan
from rtt_tracer.control.channel import ControlChannel
from rtt_tracer.engines.base import Role
from rtt_tracer.party.arrivals import LIST, senders_first, write_list
from rtt_tracer.sandbox.outputs import collect

RUN = "run.json"
"""In results: what a receiver holds the results against."""


def released(plan: Plan, me: Participant) -> bool:
    """Tell whether this party's results are for the requester."""
    return REQUESTER in plan.receivers and me.role not in (Role.SPU_SHARE, Role.SPU_INTERSECT)


def send_files(channel: ControlChannel, to: Hex32, folder: Path, lists: Path) -> None:
    """Send a folder's files to a peer, and the list of them last.

    Raises
    ------
    DataTokenError
        Refused when the peer does not answer or refuses; BadInputError for a strange file.
    """
    files = {path.name: path for path in collect(folder)}
    digests = {}
    for name in senders_first(files):
        digests[name] = sha256_hex(files[name].read_bytes())
        channel.send_share(to, name, files[name])
    listed = lists / f"sent-{to[2:12]}.json"
    write_list(listed, digests)
    channel.send_share(to, LIST, listed)


def keep_results(source: Path, target: Path) -> list[str]:
    """Copy what the engine has left for the receivers; return the names."""
    names = []
    for path in collect(source):
        shutil.copyfile(path, target / path.name)
        (target / path.name).chmod(0o600)
        names.append(path.name)
    return sorted(names)


def write_run(
    target: Path,
    plan: Plan,
    me: Participant,
    agreed: Hex32,
    number: int,
    commitments: Mapping[Hex32, Hex32],
    common: Hex32,
) -> None:
    """Write what a receiver needs to hold results against the log of rounds."""
    body: dict[str, Any] = {
        "job": plan.job,
        "request": plan.request,
        "run": plan.run,
        "kind": plan.kind.value,
        "protocol": plan.protocol,
        "agreed": agreed,
        "dt": me.dt,
        "role": me.role.value,
        "rank": me.rank,
        "ranks": len(plan.linked),
        "checkpoint": number,
        "commitments": dict(commitments),
        "input": common,
    }
    (target / RUN).write_bytes(canonical_bytes(json.loads(json.dumps(body))))

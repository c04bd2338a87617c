"""Runs one party's code in Rosetta: a registered operation by stages, or a user's script."""

import hashlib
import json
import os
import socket
import struct
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Dict

import numpy as np

from .guardian import FINISHED, JOB, LINK_FD, SAID, Lines
from .talk import Failed, Pipes

SALT_BYTES = 32
SALT, STATISTICS = Path("out/results/salt"), Path("link/statistics")


class Party:
    """What the code of one party stands on.

    Attributes
    ----------
    job : dict
        ``job.json``, as the engine wrote it.
    inputs : dict of int to int
        Rank → index among the input parties, for the ranks that have a table.
    mask : bytes
        A secret of ranks 0 and 1, empty at rank 2.
    """

    def __init__(self, job: Dict[str, Any], pipes: Pipes) -> None:
        self.job, self.pipes = job, pipes
        self.rank, self.parameters = job["rank"], job["parameters"]
        self.inputs: Dict[int, int] = {}
        self.mask = b""
        self.begun = time.monotonic()
        descriptor = int(os.environ.pop(LINK_FD))
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptor)
        self._link = Lines(sock)

    def meet(self) -> None:
        """Wait until all peers are there and want the same run."""
        word = self._link.next()
        if word is None:
            raise Failed("PEER_LOST", "the link to the peers has ended")
        self.inputs = {int(rank): index for rank, index in word["linked"]["inputs"].items()}
        self.mask = bytes.fromhex(word["linked"]["mask"])

    def table(self) -> "dict[str, np.ndarray]":
        """Return this party's own rows."""
        path = Path("in/table.npz")
        if not path.is_file():
            raise Failed("INPUT_MISSING", "the party has no table")
        with np.load(str(path), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}

    @staticmethod
    def commitment(content: bytes) -> str:
        """Return the salted commitment to own shares; the last one's salt is a result."""
        salt = os.urandom(SALT_BYTES)
        SALT.write_bytes(salt)
        return "0x" + hashlib.sha256(salt + content).hexdigest()

    def part(self) -> None:
        """Wait until all peers have done their work: what they still need is on its way."""
        self._link.say({"done": 1})
        self._link.next()

    def end(self, digest: str) -> None:
        """Say that all went well."""
        seconds = time.monotonic() - self.begun
        sent, _ = struct.unpack("<QQ", STATISTICS.read_bytes())
        Path(FINISHED).touch()
        metrics = {"seconds": seconds, "bytes_sent": float(sent)}
        self.pipes.say("end", digest=digest, metrics=metrics)


def main() -> None:
    """Carry out the job; end with `SAID` when it has said why it failed."""
    job = json.loads(Path(JOB).read_text())
    pipes = Pipes.inherited()
    try:
        _run(Party(job, pipes))
    except Failed as failure:
        traceback.print_exc()
        pipes.say("failed", code=failure.code, message=failure.message)
    except BaseException as error:  # a text of the operation's may hold rows: it stays in the log
        traceback.print_exc()
        what = type(error).__name__
        pipes.say("failed", code="PROGRAM_FAILED", message="the program raised " + what)
    else:
        _leave(0)
    _leave(SAID)


def _leave(code: int) -> None:
    """End at once: Rosetta's own ending may crash, or wait for a peer that is gone."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run(party: Party) -> None:
    job = party.job
    # Rosetta reads its own two options from the command line.
    sys.argv = [job["entry_point"], "--party_id", str(job["rank"]), "--cfgfile", job["config"]]
    from . import backend, operation, script

    backend.prepare(party)
    alone = job["entry_point"].endswith(".py")
    play = script.Script(party) if alone else operation.Stages(party)
    party.meet()
    party.pipes.say("ready")
    party.pipes.wait_for(0)
    party.begun = time.monotonic()
    play.run()

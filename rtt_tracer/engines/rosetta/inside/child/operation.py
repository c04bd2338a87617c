"""An operation by stages: its inputs, a checkpoint after each stage, its outputs as shares."""

import hashlib
import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

import latticex.rosetta as rtt
import numpy as np

from . import shares
from .talk import Failed

if TYPE_CHECKING:
    from .runner import Party

RESULTS = Path("out/results")
HOLDERS = (0, 1)
"""Ranks that hold shares in SecureNN; rank 2 only helps."""


class Stages:
    """One operation; `rtt_tracer.program` says what its code looks like."""

    def __init__(self, party: "Party") -> None:
        self._party = party
        module, _, name = party.job["entry_point"].partition(":")
        sys.path.insert(0, str(Path("bundle").resolve()))
        self._code = getattr(importlib.import_module(module), name)()

    def run(self) -> None:
        """Run all stages, one for each order."""
        party, job = self._party, self._party.job
        rtt.activate(job["protocol"])
        self._code.begin(self._inputs(), party.parameters)
        self._checkpoint(0, self._state())
        for number in range(1, job["stages"] + 1):
            party.pipes.wait_for(number)
            self._code.stage(party.pipes.progress)
            last = number == job["stages"]
            self._checkpoint(number, self._outputs() if last else self._state())
        rtt.deactivate()
        party.end(job["agreed"])

    def _checkpoint(self, number: int, content: bytes) -> None:
        commitment = self._party.commitment(content)
        self._party.pipes.say("checkpoint", number=number, commitment=commitment)

    def _inputs(self) -> "dict[str, np.ndarray]":
        """Return every party's arrays as shares, named by array and input party (``x0``)."""
        party = self._party
        ranks = {index: rank for rank, index in party.inputs.items()}
        mine, own = party.inputs.get(party.rank), {}
        if mine is not None:
            own = self._code.share(party.table(), party.parameters, mine)
        found = {}
        for array, index in self._code.arrays(sorted(ranks), party.parameters):
            values = self._own(own, array) if index == mine else None
            dataset = rtt.PrivateDataset(data_owner=(ranks[index],), label_owner=-1)
            found[f"{array}{index}"] = shared = dataset.load_X(values)
            if len(shared) != (party.job["rows"] or len(shared)):
                raise Failed("INPUT_MISSING", "a table has not the number of rows agreed on")
        return found

    @staticmethod
    def _own(own: "dict[str, np.ndarray]", array: str) -> "np.ndarray":
        if array not in own:
            raise Failed("INPUT_MISSING", f"this party's rows give no array {array}")
        values = np.asarray(own[array], np.float64)
        if not np.isfinite(values).all():
            raise Failed("INPUT_MISSING", f"array {array} holds values that are no numbers")
        return values.reshape(len(values), -1)

    def _state(self) -> bytes:
        """Return a digest over the names and bytes of the shares that this party holds."""
        total = hashlib.sha256()
        for name, found in sorted(self._code.state().items()):
            values = np.asarray(found, object)  # before its first step, a variable is public
            total.update(json.dumps([name, values.shape]).encode())
            for text in values.ravel():
                total.update(len(text).to_bytes(4, "little") + text)
        return total.digest()

    def _outputs(self) -> bytes:
        """Leave the outputs as shares; return the manifest, which names their digests."""
        party = self._party
        listed: List[Dict[str, Any]] = []
        given = self._code.outputs()
        declared = party.job["outputs"]
        if declared and not set(given) <= set(declared):
            raise Failed("OPERATION_UNFIT", "the operation gives outputs that it does not declare")
        for name, found in sorted(given.items()):
            values = np.asarray(found, object)
            if party.rank in HOLDERS:
                content = shares.fresh(values, party.rank, party.mask, name)
                (RESULTS / (name + ".share")).write_bytes(content)
                digest = "0x" + hashlib.sha256(content).hexdigest()
                entry = {"name": name, "shape": list(values.shape), "sha256": digest}
                if name in party.job["bounds"]:
                    entry["bound"] = party.job["bounds"][name]
                listed.append(entry)
        job = party.job
        manifest = {
            "format": 1,
            "agreed": job["agreed"],
            "rank": job["rank"],
            "fraction_bits": job["fraction_bits"],
            "outputs": listed,
        }
        content = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        (RESULTS / "manifest.json").write_bytes(content)
        return content

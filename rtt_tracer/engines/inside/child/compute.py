"""Role ``spu.compute``: an agreed program on shares, stage by stage."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import spu

from .commitments import commit, fresh_salt, listing, sha256
from .failure import ENGINE_FAILED, SHARES_UNFIT, Failure
from .job import Job
from .link import bytes_sent, connect, preflight
from .pipes import Pipes
from .setting import field, fraction_bits, runtime_config
from .traced import OUTPUT, STATE, Traced
from .wire import alike, pack, read_share

RESULTS = Path("out/results")
MANIFEST, SALT = "manifest.json", "salt"


def compute(job: Job, pipes: Pipes) -> None:
    """Compile, link, compare; then set inputs and run stages, each on its own order."""
    config = runtime_config(job.protocol, job.world, job.parameters)
    traced = Traced(job, job.code())
    link = connect(job, pipes)
    code = preflight(link, job, [config.SerializeToString(), *traced.programs])
    party = Party(job, traced, config, link)
    pipes.ready(digest=code)
    pipes.wait(0)
    begun = time.monotonic()
    pipes.checkpoint(0, commit(fresh_salt(), listing(party.set_inputs())))
    for number in range(1, job.stages + 1):
        pipes.wait(number)
        party.run_stage()
        if number < job.stages:
            pipes.checkpoint(number, commit(fresh_salt(), listing(party.state())))
    manifest, salt = party.write_outputs(code), fresh_salt()
    (RESULTS / SALT).write_bytes(salt)
    link.stop_link()  # what is on its way to the peers still goes
    pipes.checkpoint(job.stages, commit(salt, manifest))
    pipes.end(job.agreed, {"seconds": time.monotonic() - begun, "bytes_sent": bytes_sent()})


class Party:
    """One party's virtual machine."""

    def __init__(self, job: Job, traced: Traced, config: Any, link: Any) -> None:
        self._job, self._traced = job, traced
        self._io = spu.Io(job.world, config)
        self._vm = spu.Runtime(link, config)

    def set_inputs(self) -> dict[str, str]:
        """Set the shares that came, and the start state; return the shares' digests.

        A share from a data party is taken only in the very form of one made here.
        """
        digests = {}
        for name, shape in self._job.shapes.items():
            share = read_share(Path("in/shares", name), f"The share of {name}")
            model = self._io.make_shares(np.zeros(shape, np.float32), spu.Visibility.VIS_SECRET)
            if not alike(share, model[self._job.rank]):
                raise Failure(SHARES_UNFIT, f"The share of {name} has another form than agreed.")
            self._vm.set_var(name, share)
            digests[name] = sha256(pack(share))
        for name, array in self._traced.initial.items():
            public = self._io.make_shares(array, spu.Visibility.VIS_PUBLIC)
            self._vm.set_var(STATE + name, public[self._job.rank])
        return digests

    def run_stage(self) -> None:
        """Run one stage."""
        if self._traced.stage is not None:
            self._run(self._traced.stage)

    def state(self) -> dict[str, str]:
        """Return the digests of the own shares of the state."""
        return {name: sha256(pack(self._vm.get_var(STATE + name))) for name in self._traced.initial}

    def write_outputs(self, code: str) -> bytes:
        """Run the outputs; write the own shares of them, and return the manifest's bytes."""
        self._run(self._traced.outputs)
        listed = []
        for name, form in self._traced.results.items():
            content = pack(self._vm.get_var(OUTPUT + name))
            (RESULTS / f"{name}.share").write_bytes(content)
            listed.append(
                {
                    "name": name,
                    "file": f"{name}.share",
                    "shape": list(form.shape),
                    "dtype": str(form.dtype),
                    "bound": self._job.outputs.get(name),
                    "sha256": sha256(content),
                }
            )
        manifest = {
            "format": 1,
            "agreed": self._job.agreed,
            "code": code,
            "protocol": self._job.protocol,
            "field": field(self._job.parameters),
            "fraction_bits": fraction_bits(self._job.parameters),
            "rank": self._job.rank,
            "world": self._job.world,
            "stages": self._job.stages,
            "state": self.state(),
            "outputs": listed,
        }
        content = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        (RESULTS / MANIFEST).write_bytes(content)
        return content

    def _run(self, executable: Any) -> None:
        try:
            self._vm.run(executable)
        except RuntimeError as error:
            raise Failure(ENGINE_FAILED, "SPU could not finish the stage; see its log.") from error

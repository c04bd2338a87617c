"""What `datatoken doctor` asks of the MPC part: engines, and the walls of this machine."""

from collections.abc import Iterator
from pathlib import Path

from datatoken.doctor.findings import Finding, State
from rtt_tracer.engines.base import Engine
from rtt_tracer.settings import EngineSettings


def checks() -> Iterator[Finding]:
    """Check the engines' environments, and what isolation an operation would get."""
    from rtt_tracer.engines.rosetta import RosettaEngine
    from rtt_tracer.engines.spu import SpuEngine

    settings = EngineSettings()
    yield _engine("SPU", SpuEngine(Path(settings.spu)), settings.spu)
    yield _engine("Rosetta", RosettaEngine(Path(settings.rosetta)), settings.rosetta)
    yield from _walls()


def _engine(name: str, engine: Engine, path: str) -> Finding:
    if why := engine.missing():
        return Finding(
            "mpc", State.ABSENT, f"{name}: {why}", f"For its parties: make {name.lower()}."
        )
    return Finding("mpc", State.OK, f"{name} in {path}.")


def _walls() -> Iterator[Finding]:
    from rtt_tracer.sandbox.probe import probe

    for finding in probe().findings:
        if finding.in_force:
            yield Finding("sandbox", State.OK, f"{finding.mechanism}: {finding.why}.")
        else:
            yield Finding(
                "sandbox",
                State.WARNING,
                f"An operation would run without {finding.mechanism}: {finding.why}.",
                "Use a kernel with user namespaces and Landlock, or a machine of its own.",
            )

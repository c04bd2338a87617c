"""What `datatoken doctor` asks of the MPC part: engines, and the walls of this machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from datatoken.doctor.findings import Finding, State

if TYPE_CHECKING:
    from rtt_tracer.engines.spu import SpuEngine

INSTALL = "For parties and services of MPC: pip install 'datatoken[mpc]'."


def checks() -> Iterator[Finding]:
    """Check the engines' environments, and what isolation an operation would get."""
    try:
        yield from _checks()
    except ModuleNotFoundError as error:
        yield Finding("mpc", State.ABSENT, f"The part for MPC lacks {error.name}.", INSTALL)


def _checks() -> Iterator[Finding]:
    from rtt_tracer.engines.rosetta import RosettaEngine
    from rtt_tracer.engines.spu import SpuEngine
    from rtt_tracer.settings import EngineSettings

    settings = EngineSettings()
    yield _spu(SpuEngine(Path(settings.spu)), settings.spu)
    if why := RosettaEngine(Path(settings.rosetta)).missing():
        yield Finding("mpc", State.ABSENT, f"Rosetta: {why}", "For its parties: make rosetta.")
    else:
        yield Finding("mpc", State.OK, f"Rosetta in {settings.rosetta}.")
    yield from _walls()


def _spu(engine: "SpuEngine", path: str) -> Finding:
    """Check SPU by importing it: what is installed by name may still not load."""
    if why := engine.broken():
        return Finding("mpc", State.ERROR, f"SPU: {why}", "No party can compute with it so.")
    if why := engine.missing():
        return Finding("mpc", State.ABSENT, f"SPU: {why}", "For its parties: make spu.")
    return Finding("mpc", State.OK, f"SPU in {path}.")


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

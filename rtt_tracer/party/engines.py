"""The engines of this host, as the settings name them."""

from pathlib import Path

from datatoken.authorization.reasons import Reason, Refused
from rtt_tracer.engines.base import Engine, Role
from rtt_tracer.settings import EngineSettings


def engine_of(role: Role, settings: EngineSettings) -> Engine:
    """Return the engine that plays a role here.

    Raises
    ------
    Refused
        ENGINE_MISSING, with what to do.
    """
    engine = _engine(role, settings)
    if why := engine.missing():
        raise Refused(Reason.ENGINE_MISSING, why)
    return engine


def _engine(role: Role, settings: EngineSettings) -> Engine:
    # Engines are imported where they are needed: a party has one of them.
    if role is Role.ROSETTA:
        from rtt_tracer.engines.rosetta import RosettaEngine

        return RosettaEngine(Path(settings.rosetta), allow_unconfined=settings.allow_unconfined)
    if role is Role.LOCAL:
        from rtt_tracer.engines.local import LocalEngine

        return LocalEngine(Path(settings.local or settings.spu))
    from rtt_tracer.engines.spu import SpuEngine

    return SpuEngine(Path(settings.spu))

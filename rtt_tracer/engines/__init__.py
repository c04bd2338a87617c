"""MPC engines behind one interface: agree, run, report."""

from rtt_tracer.engines.base import Endpoint, Engine, EngineJob, Launch, Role

__all__ = ["Endpoint", "Engine", "EngineJob", "Launch", "Role"]

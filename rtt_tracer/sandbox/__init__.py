"""The sandbox of an operation: a process of its own, limits, walls, deadlines."""

from rtt_tracer.sandbox.limits import Limits
from rtt_tracer.sandbox.probe import probe
from rtt_tracer.sandbox.process import EXITED, LIMIT, PROTOCOL, EngineProcess
from rtt_tracer.sandbox.report import Finding, IsolationReport, Mechanism

__all__ = [
    "EXITED",
    "LIMIT",
    "PROTOCOL",
    "EngineProcess",
    "Finding",
    "IsolationReport",
    "Limits",
    "Mechanism",
    "probe",
]

"""What isolation this machine gives, before any operation comes: for the service's card."""

import sys
import tempfile
from pathlib import Path

from datatoken.errors import LocalEnvironmentError
from rtt_tracer.engines.base import Launch
from rtt_tracer.sandbox.limits import Limits
from rtt_tracer.sandbox.process import EngineProcess
from rtt_tracer.sandbox.report import Finding, IsolationReport


def probe() -> IsolationReport:
    """Start a program that does nothing, and return what was in force around it."""
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
        launch = Launch((sys.executable, "-I", "-S", "-c", ""), {})
        work = Path(folder) / "work"
        work.mkdir(mode=0o700)
        try:
            with EngineProcess.start(launch, work, Limits(), Path(folder) / "log") as process:
                process.wait()
                return process.report
        except LocalEnvironmentError as error:
            return IsolationReport((Finding("sandbox", False, error.message),))

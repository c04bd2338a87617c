"""A supervisor in a process of its own, on a platform that gives more or less isolation.

Started as ``python -m tests.rtt_tracer.sandbox.supervise`` with a plan as JSON on stdin; it
runs one operation to its end and prints what came of it.
"""

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

from rtt_tracer.engines.base import Launch
from rtt_tracer.sandbox import EngineProcess, Limits
from rtt_tracer.sandbox.inside import kernel, landlock, seccomp

UNSHARE = {"x86_64": 272, "aarch64": 97}[os.uname().machine]


def refuse(*numbers: int) -> None:
    """Have the kernel answer ENOSYS to system calls, as an old or a guarded one does."""
    steps = [seccomp._step(seccomp.LOAD, seccomp.NUMBER)]
    for number in numbers:
        steps.append(seccomp._step(seccomp.EQUAL, number, 0, 1))
        steps.append(seccomp._step(seccomp.RETURN, seccomp.REFUSE | errno.ENOSYS))
    seccomp.install(b"".join([*steps, seccomp._step(seccomp.RETURN, seccomp.ALLOW)]))


def degrade(platform: str) -> None:
    """Become a process on `platform`."""
    if platform == "full":
        return
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, "no_new_privs", 1)
    if platform == "no unshare":
        refuse(UNSHARE)
    if platform in ("container", "container, old kernel"):
        seccomp.enforce(tcp=True)  # refuses new namespaces by every way, as Docker does
    if platform == "container, old kernel":
        refuse(landlock.CREATE_RULESET)


def supervise(plan: dict[str, Any]) -> dict[str, Any]:
    """Run the plan's operation; return what a supervisor gets to know."""
    folder = Path(plan["folder"])
    launch = Launch(
        argv=(sys.executable, "-I", "-c", plan["code"]),
        environment={**plan["environment"], "SUPERVISOR": str(os.getpid())},
        bind=tuple(plan["bind"]),
        connect=tuple(plan["connect"]),
    )
    limits = Limits(**plan["limits"])
    events = []
    with EngineProcess.start(launch, folder, limits, folder.parent / "log") as process:
        if plan["announce"]:
            print(json.dumps({"started": True}), flush=True)
        for stage in plan["orders"]:
            process.go(stage)
        seconds = plan["terminate_after"]
        if seconds is None:
            events = list(process.events())
        else:
            while (event := process.next_event(seconds)) is not None:
                events.append(event)
            process.terminate()
            events += process.events()
        process.wait()
        return {
            "events": [event.model_dump() for event in events],
            "exit": process.exit_code,
            "left": process.left_behind,
            "report": process.report.plain(),
        }


def main() -> None:
    """Read a plan, carry it out, print the outcome."""
    plan = json.loads(sys.stdin.readline())
    degrade(plan["platform"])
    print(json.dumps(supervise(plan)), flush=True)


if __name__ == "__main__":
    main()

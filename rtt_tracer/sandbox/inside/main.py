"""The warden's main: walls first, then the operation behind them, then the watch."""

import contextlib
import json
import os
import resource
import signal
import sys
from typing import NoReturn

from . import bubble, kernel, landlock, namespaces, root, seccomp
from .guard import Guard
from .launch import LIFELINE, Launch, read_launch

MB = 1 << 20
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> NoReturn:
    """Read the launch from the first line of stdin, and carry it out.

    The strongest way that works here is taken: namespaces of its own making, bubblewrap's,
    or none.
    """
    wrapped = bubble.MARK in sys.argv
    launch, line = read_launch(int(sys.argv[-1]) if wrapped else LIFELINE)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # the lifeline is how the supervisor speaks
    launch.found("clean environment", None, f"{len(launch.environment)} variables, no secrets")
    if wrapped:
        kernel.hide()
        launch.found("process namespace", None, "bubblewrap")
        launch.found("file namespace", None, "bubblewrap")
        _guard(launch, alone=True, rooted=True, cut_off=not launch.network)
    flags, why = namespaces.possible()
    if not flags:
        if program := bubble.find():
            bubble.become(program, launch, line)
        kernel.hide()
        _subreaper(launch, f"{why}; no bubblewrap")
    namespaces.enter(flags & ~(namespaces.NEW_NETWORK if launch.network else 0))
    warden = os.fork()
    if warden == 0:
        _first_process(launch, flags)
    for descriptor in (LIFELINE, launch.events, launch.orders, launch.status):
        os.close(descriptor)
    os.waitpid(warden, 0)
    os._exit(0)


def _first_process(launch: Launch, flags: int) -> NoReturn:
    """Go on as the first process of the namespace: with it the kernel ends all others."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, "PR_SET_PDEATHSIG", int(signal.SIGKILL))
    launch.own_users = bool(flags & namespaces.NEW_USER)
    how = "user namespace" if launch.own_users else "as root"
    launch.found("process namespace", None, f"unshare, {how}")
    shared = int(launch.limits["memory_mb"]) // 4
    why = kernel.attempt(lambda: root.build(launch.folder, launch.readable, shared))
    rooted = launch.found(
        "file namespace", why, f"{len(launch.readable)} paths beside the system's"
    )
    kernel.hide()
    _guard(launch, alone=True, rooted=rooted, cut_off=not launch.network)


def _subreaper(launch: Launch, why: str) -> NoReturn:
    """Go on without namespaces: as parent of all that the operation leaves behind."""
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, "PR_SET_CHILD_SUBREAPER", 1)
    launch.found("process namespace", why, "")
    launch.found("file namespace", why, "")
    _guard(launch, alone=False, rooted=False, cut_off=False)


def _guard(launch: Launch, *, alone: bool, rooted: bool, cut_off: bool) -> NoReturn:
    """Start the operation and watch it until nothing of it is left."""
    parent = os.getpid()
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _operation(launch, parent, writing, rooted=rooted, cut_off=cut_off)
    for descriptor in (launch.events, launch.orders, writing):
        os.close(descriptor)
    with os.fdopen(reading) as pipe:  # ends when the operation's program has taken over
        said = [json.loads(line) for line in pipe]
    for message in said[1:] + said[:1]:
        launch.say(message)
    counted = rooted or not alone  # /proc shows this namespace's processes
    Guard(child, alone, counted, LIFELINE, launch).watch()
    os._exit(0)


def _operation(launch: Launch, parent: int, back: int, *, rooted: bool, cut_off: bool) -> NoReturn:
    """Become the operation; tell the guard how it went through `back`."""
    try:
        kernel.die_with_parent(parent)
        os.setsid()
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(launch.folder)
        os.umask(0o077)
        _limit(launch)
        launch.found("resource limits", None, f"{launch.limits['memory_mb']:g} MB of memory")
        launch.found("no privileges", kernel.attempt(kernel.drop_privileges), "no capabilities")
        _confine(launch, rooted=rooted, cut_off=cut_off)
        os.set_inheritable(launch.status, False)
        for descriptor in (launch.events, launch.orders):
            os.set_inheritable(descriptor, True)
        os.write(back, json.dumps({"isolation": launch.findings}).encode() + b"\n")
        os.execve(launch.argv[0], launch.argv, launch.environment)  # noqa: S606
    except BaseException as error:
        os.write(back, json.dumps({"error": str(error)}).encode() + b"\n")
    os._exit(127)


def _confine(launch: Launch, *, rooted: bool, cut_off: bool) -> None:
    """Give up files, ports and system calls that the operation has no need of."""
    abi = 0
    with contextlib.suppress(OSError):
        abi = landlock.version()
    none = "the kernel has no Landlock" if not abi else None
    why = none or kernel.attempt(lambda: _rules(launch, abi, rooted=rooted, cut_off=cut_off))
    launch.found("file access rules", why, f"Landlock {abi}")
    if cut_off:
        launch.found("network", None, "none: a network namespace of its own")
    else:
        old = None if abi >= 4 else f"Landlock {abi} knows no ports"
        ports = len({*launch.bind, *launch.connect})
        how = f"TCP on {ports} of the run's own ports" if launch.network else "TCP on no port"
        launch.found("network", why or old, how)
    launch.found("signal scope", why or (None if abi >= 6 else f"Landlock {abi}"), "Landlock")
    tcp = cut_off or launch.network
    why = kernel.attempt(lambda: seccomp.enforce(tcp=tcp))
    unix = "Unix sockets" if rooted else "Unix sockets (this machine's too)"
    launch.found("socket filter", why, f"seccomp: {'TCP and ' if tcp else ''}{unix}")


def _rules(launch: Launch, abi: int, *, rooted: bool, cut_off: bool) -> None:
    rules = landlock.Rules(abi, ports=not cut_off)
    for path in (*root.SYSTEM, *root.SETTINGS, "/proc", *launch.readable):
        rules.allow(path, landlock.READ)
    for device in root.DEVICES:
        rules.allow(device, landlock.READ_FILE | landlock.WRITE_FILE)
    if rooted:
        for name in root.WRITTEN:
            rules.allow(name, landlock.READ)
        rules.allow("/dev/shm", landlock.WRITE & ~landlock.EXECUTE)  # noqa: S108
    rules.allow(launch.folder, landlock.WRITE)
    if not cut_off and abi >= 4:
        rules.allow_ports(launch.bind, launch.connect)
    rules.enforce()


def _limit(launch: Launch) -> None:
    limits = launch.limits
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: limits["cpu_seconds"],
        resource.RLIMIT_DATA: limits["memory_mb"] * MB,
        resource.RLIMIT_FSIZE: limits["file_mb"] * MB,
        resource.RLIMIT_NOFILE: limits["files"],
    }
    if launch.own_users:  # elsewhere it would count all that this user runs
        bounds[resource.RLIMIT_NPROC] = limits["processes"] + 2
    for what, value in bounds.items():
        _, hard = resource.getrlimit(what)
        bound = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
        resource.setrlimit(what, (bound, bound))

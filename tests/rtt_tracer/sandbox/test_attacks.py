"""What an operation tries against its owner's machine, and what comes of it.

Every attack runs as a real process, on a machine that gives all walls and, where the walls
overlap, on machines that give fewer.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.rtt_tracer.sandbox.conftest import CONTAINER, FULL, NO_UNSHARE, OLD, Arena, Attack

EVERYWHERE = pytest.mark.parametrize("platform", [FULL, NO_UNSHARE, CONTAINER, OLD])
WITH_LANDLOCK = pytest.mark.parametrize("platform", [FULL, NO_UNSHARE, CONTAINER])


@contextmanager
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A server of this machine outside the sandbox; yields its port and what it heard."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    heard.append(connection.recv(100))

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], heard


@EVERYWHERE
def test_secret_in_the_environment_of_an_operation(attack: Attack, platform: str) -> None:
    """The supervisor's password is in no environment that the operation can read.

    Acceptance: 65
    """
    outcome = attack(
        """
def environments():
    found = []
    for name in os.listdir("/proc"):
        try:
            found.append(open(f"/proc/{name}/environ", "rb").read())
        except OSError:
            pass
    return b"".join(found)
found = environments()
tell(own=dict(os.environ), read=b"DATATOKEN_EVENTS" in found, secret=b"hunter2" in found)
end()
""",
        platform,
    )

    assert outcome.told["read"]  # its own
    assert not outcome.told["secret"]
    assert set(outcome.told["own"]) <= {
        "HOME",
        "TMPDIR",
        "SUPERVISOR",
        "LC_CTYPE",
        "DATATOKEN_EVENTS",
        "DATATOKEN_ORDERS",
    }


@EVERYWHERE
def test_memory_of_the_supervisor_is_out_of_reach(attack: Attack, platform: str) -> None:
    """Nor can its memory be read, or its descriptors be taken over."""
    outcome = attack(
        """
import glob
opened = []
for pid in (os.environ["SUPERVISOR"], str(os.getppid())):
    for path in (f"/proc/{pid}/mem", *glob.glob(f"/proc/{pid}/fd/*")):
        try:
            open(path, "rb").close()
            opened.append(path)
        except OSError:
            pass
tell(opened=opened)
end()
""",
        platform,
    )

    assert outcome.told["opened"] == []


@WITH_LANDLOCK
def test_operation_reads_the_owners_keystore(arena: Arena, platform: str) -> None:
    """A keystore beside the work folder, or anywhere else, can't be read, linked or listed."""
    keystore = arena.folder / "keystore.json"
    keystore.write_text("secret key")

    outcome = arena.run(
        f"""
key = {str(keystore)!r}
tell(
    read=attempt(lambda: open(key).read()),
    listed=attempt(lambda: os.listdir(os.path.dirname(key))),
    linked=attempt(lambda: os.link(key, "copy")),
    symlinked=attempt(lambda: os.symlink(key, "copy2")),
    around=attempt(lambda: open("/proc/1/root" + key).read()),
    above=attempt(lambda: open("../keystore.json").read()),
    home=attempt(lambda: os.listdir(os.path.expanduser("~root"))),
)
end()
""",
        platform,
    )

    told = outcome.told
    assert {name: "refused" in result for name, result in told.items() if name != "home"} == (
        dict.fromkeys(("read", "listed", "linked", "symlinked", "around", "above"), True)
    )
    assert outcome.state("file access rules") == "in force"


@WITH_LANDLOCK
def test_operation_writes_outside_its_work_folder(arena: Arena, platform: str) -> None:
    """Neither beside the work folder, nor into its engine, nor into /tmp."""
    outcome = arena.run(
        f"""
beside = {str(arena.folder / "beside")!r}
tell(
    beside=attempt(lambda: open(beside, "w")),
    temporary=attempt(lambda: open("/tmp/planted", "w")),
    engine=attempt(lambda: open(os.path.dirname(os.__file__) + "/planted.py", "w")),
    own=attempt(lambda: open("mine", "w").write("fine")),
    own_temporary=attempt(lambda: __import__("tempfile").mkstemp()),
)
end()
""",
        platform,
    )

    refused = {name for name, result in outcome.told.items() if "refused" in result}
    assert refused == {"beside", "temporary", "engine"}
    assert (arena.work / "mine").read_text() == "fine"


@WITH_LANDLOCK
def test_operation_opens_a_network_connection(attack: Attack, platform: str) -> None:
    """Without ports there is no way out: not by TCP, not by UDP, not by odder protocols.

    Acceptance: 66
    """
    with listener() as (port, heard):
        outcome = attack(
            f"""
import socket
def connect():
    s = socket.create_connection(("127.0.0.1", {port}), timeout=5)
    s.send(b"rows")
    return "connected"
tell(
    tcp=attempt(connect),
    udp=attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    raw=attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    mptcp=attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)),
    vsock=attempt(lambda: socket.socket(40, socket.SOCK_STREAM)),
    netlink=attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
)
end()
""",
            platform,
        )

    assert heard == []
    assert {name for name, result in outcome.told.items() if "done" in result} == set()
    assert outcome.state("network") == "in force"


@WITH_LANDLOCK
def test_operation_uses_other_ports_than_its_own(attack: Attack, platform: str) -> None:
    """With ports it reaches these and no others."""
    code = """
import socket
def connect(port):
    s = socket.create_connection(("127.0.0.1", port), timeout=5)
    s.send(b"share")
    return "connected"
def listen(port):
    return socket.create_server(("127.0.0.1", port)) and "listening"
"""
    with listener() as (peer, heard), listener() as (stranger, strange):
        with socket.create_server(("127.0.0.1", 0)) as free:
            own = free.getsockname()[1]

        outcome = attack(
            code
            + f"""
tell(
    peer=attempt(lambda: connect({peer})),
    stranger=attempt(lambda: connect({stranger})),
    own=attempt(lambda: listen({own})),
    other=attempt(lambda: listen({own + 1 if own < 65535 else own - 1})),
    any=attempt(lambda: listen(0)),
)
end()
""",
            platform,
            bind=[own],
            connect=[peer],
        )

    assert {name for name, result in outcome.told.items() if "done" in result} == {"peer", "own"}
    assert (heard, strange) == ([b"share"], [])


@WITH_LANDLOCK
def test_operation_signals_processes_outside(arena: Arena, platform: str) -> None:
    """It can end neither its supervisor, nor the warden, nor anything else of its owner's."""
    outcome = arena.run(
        f"""
outside = {os.getpid()}
tell(
    this=attempt(lambda: os.kill(outside, 0)),
    parent=attempt(lambda: os.kill(os.getppid(), 9)),
)
time.sleep(0.3)
tell(still=True)
end()
""",
        platform,
    )

    assert outcome.told["still"]
    assert "refused" in outcome.told["this"]
    assert outcome.last["event"] == "end"


@EVERYWHERE
def test_operation_that_dies_says_how(attack: Attack, platform: str) -> None:
    """An end without a word is a failure with a reason."""
    killed = attack("os.kill(os.getpid(), 11); time.sleep(9)", platform)
    left = attack("say(event='ready'); sys.exit(3)", platform)

    assert (killed.exit, left.exit) == (-11, 3)
    assert "by SIGSEGV" in killed.last["message"]
    assert [event["event"] for event in left.events] == ["ready", "failed"]
    assert "with exit code 3" in left.last["message"]


@EVERYWHERE
def test_operation_looks_for_privileges(attack: Attack, platform: str) -> None:
    """It has no capability and can't open a namespace, mount, trace or use io_uring."""
    outcome = attack(
        """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
def call(*arguments):
    libc.syscall.restype = ctypes.c_long
    if libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]) < 0:
        raise OSError(ctypes.get_errno(), "refused")
tell(
    capabilities=status["CapEff"] + status["CapPrm"] + status["CapBnd"],
    no_new=status["NoNewPrivs"],
    namespace=attempt(lambda: libc.unshare(0x10000000) and 1 / 0),
    io_uring=attempt(lambda: call(425, 8, ctypes.create_string_buffer(256))),
    user_namespace_by_clone=attempt(
        lambda: call(56 if os.uname().machine == "x86_64" else 220, 0x10000011, 0, 0, 0, 0)
    ),
)
end()
""",
        platform,
    )

    told = outcome.told
    assert set(told["capabilities"]) == {"0"} or os.geteuid() != 0
    assert told["no_new"] == "1"
    assert told["io_uring"] == {"refused": "PermissionError"}
    assert told["namespace"] == {"refused": "ZeroDivisionError"}
    assert told["user_namespace_by_clone"] == {"refused": "PermissionError"}


def test_a_link_in_the_results_leads_nowhere(arena: Arena) -> None:
    """What no operation can make, but a weaker platform would let it: refused when read."""
    from datatoken.errors import BadInputError
    from rtt_tracer.sandbox.outputs import collect, open_output

    keystore = arena.folder / "keystore.json"
    keystore.write_text("secret key")
    results = arena.work / "out" / "results"
    results.mkdir(parents=True)
    (results / "share").symlink_to(keystore)
    (arena.work / "out" / "to-1").symlink_to(arena.folder)

    for folder in (results, arena.work / "out" / "to-1"):
        with pytest.raises(BadInputError, match="no plain file"):
            collect(folder)
    with pytest.raises(BadInputError, match="no plain file"):
        open_output(results / "share")
    (results / "share").unlink()
    os.link(keystore, results / "share")
    with pytest.raises(BadInputError, match="no plain file"):
        collect(results)
    (results / "share").unlink()
    os.mkfifo(results / "share")
    with pytest.raises(BadInputError, match="no plain file"):
        open_output(results / "share")

"""A thousand transactions while nodes and senders are killed: none lost, none doubled."""

import hashlib
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from datatoken.chain.events import EventReader, TaskCreated
from datatoken.chain.signer import Signer
from tests.support.chain import Chain

ROOT = Path(__file__).parents[2]
PROCESSES, EACH = 4, 250
NODES, KILL_EVERY = 3, 2.0

NODE = """
import sys, threading
from tests.support.proxy import Proxy
proxy = Proxy(sys.argv[1], int(sys.argv[2]))
print(proxy.port, flush=True)
threading.Event().wait()
"""

SENDER = """
import hashlib, sys, time
from pathlib import Path
from datatoken.chain.contracts import Contracts
from datatoken.chain.deployment import Deployment
from datatoken.chain.signer import Signer
from datatoken.chain.transactions import Sender
from datatoken.errors import ChainUnreachableError, TransactionError

file, journal, key, name, count = sys.argv[1:]
deployment = Deployment.load(Path(file))
rpc = deployment.connect(5.0, Path(journal).parent / name)
signer, profile = Signer.from_key(key), deployment.network_profile()
market = Contracts.at(rpc, deployment).market
with Sender(rpc, signer, profile, Path(journal)) as sender:
    for number in range(int(count)):
        one = f"{name}:{number}"
        intent = market.create_task("0x" + hashlib.sha256(one.encode()).hexdigest())
        deadline = time.monotonic() + 120
        while True:  # repeating any command is safe
            try:
                sender.send(intent, key=one)
                break
            except (ChainUnreachableError, TransactionError) as error:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        print(number, flush=True)
"""


class Nodes:
    """Nodes in processes of their own, in front of one chain; they are killed and come back."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._random = random.Random(4)
        self._running = [self._start() for _ in range(NODES)]
        self.kills = 0
        self._stop = threading.Event()
        self._killer = threading.Thread(target=self._kill, daemon=True)

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for _, port in self._running]

    def _start(self, port: int = 0) -> tuple[subprocess.Popen[str], int]:
        process = subprocess.Popen(
            [sys.executable, "-c", NODE, self._target, str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        assert process.stdout is not None
        return process, int(process.stdout.readline())

    def _kill(self) -> None:
        """Kill one node, now and then two of three at once, and start them again."""
        while not self._stop.wait(KILL_EVERY):
            victims = self._random.sample(range(NODES), self._random.choice([1, 1, 1, 2]))
            for index in victims:
                self._running[index][0].kill()
                self._running[index][0].wait()
                self.kills += 1
            for index in victims:
                self._running[index] = self._start(self._running[index][1])

    def __enter__(self) -> "Nodes":
        self._killer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._killer.join()
        for process, _ in self._running:
            process.kill()
            process.wait()


@contextmanager
def senders(command: list[str]) -> Iterator[list[subprocess.Popen[str]]]:
    """Run a command once for each sender."""

    def start(name: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, f"sender-{name}", str(EACH)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    running = [start(name) for name in range(PROCESSES)]
    try:
        # One sender is killed in the middle, and its command repeated from the start.
        victim = running[0]
        assert victim.stdout is not None
        for line in victim.stdout:
            if int(line) >= EACH // 3:
                break
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        running[0] = start(0)
        yield running
    finally:
        for process in running:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_thousand_transactions_while_nodes_and_a_sender_are_killed(
    chain: Chain, tmp_path: Path
) -> None:
    """One account, one journal, four processes, two of three endpoints have to agree."""
    # Prepare
    key = "0x" + random.randbytes(32).hex()
    account = Signer.from_key(key).address
    chain.anvil.fund(account, 1000)
    chain.a.send(chain.contracts.institutions.enrol_user(account))
    first = chain.rpc.block_number()
    with Nodes(chain.url) as nodes:
        file = tmp_path / "deployment.json"
        chain.deployment.model_copy(update={"rpc_urls": tuple(nodes.urls)}).save(file)
        command = [sys.executable, "-c", SENDER, str(file), str(tmp_path / "journal.sqlite"), key]
        # Execute
        started = time.monotonic()
        with senders(command) as running:
            outputs = [process.communicate() for process in running]
            codes = [process.returncode for process in running]
    seconds = time.monotonic() - started
    # Assert
    assert codes == [0] * PROCESSES, [problems[-2000:] for _, problems in outputs]
    wanted = {
        "0x" + hashlib.sha256(f"sender-{name}:{number}".encode()).hexdigest()
        for name in range(PROCESSES)
        for number in range(EACH)
    }
    events = EventReader(chain.rpc, chain.deployment).history(
        TaskCreated, start=first, owner=account
    )
    found = Counter(event.description for event in events)  # type: ignore[attr-defined]
    assert set(found) == wanted
    assert set(found.values()) == {1}
    assert nodes.kills >= 10
    facts = {"transactions": len(events), "kills": nodes.kills, "seconds": round(seconds)}
    print(json.dumps(facts))

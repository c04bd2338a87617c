"""The programs of the demo: recorder, SuperLinks, SuperNodes, each with its own command line."""

import json
import time
from dataclasses import dataclass

from datatoken.ports import free_port
from examples.mvp2_wearables.world import Person, World
from examples.support.processes import Process, Processes, program
from examples.support.recorder import START, answers, start_recorder

DELEGATED_SECONDS = 7 * 24 * 3600
FAST = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1"}
"""How often flwr looks for work: on one machine there is no network to spare."""


@dataclass
class Stack:
    """The running programs."""

    world: World
    processes: Processes
    recorder_port: int

    @property
    def endpoint(self) -> str:
        """Where the recorder answers: what A's document names."""
        return f"http://127.0.0.1:{self.recorder_port}"

    def start_recorder(self) -> Process:
        """Start A's recorder, a process with a key of its own."""
        return start_recorder(self.processes, self.world, self.recorder_port)

    def start_superlink(self, name: str = "superlink") -> "Link":
        """Start A's SuperLink under its gate."""
        account, port = self.world.accounts["A"], free_port()
        command = [program("fl-edge"), "superlink"]
        command += ["--dt", self.world.composite]
        command += ["--deployment", str(self.world.deployment_path)]
        command += ["--store", self.world.store]
        command += ["--state", str(account.folder / name)]
        command += ["--keystore", str(account.keystore)]
        command += ["--password-file", str(account.password_file)]
        command += ["--insecure", "--host", "127.0.0.1", "--port", str(port)]
        process = self.processes.start(name, command, FAST)
        return _serving(process, port)

    def start_stock_superlink(self, name: str = "stock-superlink") -> "Link":
        """Start flwr's own SuperLink, which asks nobody."""
        port = free_port()
        home = self.world.folder / name
        home.mkdir(exist_ok=True)
        command = [program("flower-superlink"), "--insecure"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        process = self.processes.start(name, command, {**FAST, "FLWR_HOME": str(home)})
        return _serving(process, port)

    def start_supernode(self, person: Person, link: "Link", suffix: str = "") -> Process:
        """Start a user's SuperNode under the gate of that user."""
        world, node = self.world, person.node
        delegation = node.folder / "delegation.json"
        expiry = int(time.time()) + DELEGATED_SECONDS
        signed = person.role.delegate(person.dt, node.address, expiry)
        delegation.write_text(json.dumps(signed.model_dump(mode="json")), encoding="utf-8")
        command = [program("fl-edge"), "supernode"]
        command += ["--superlink", link.address, "--insecure", "--dt", person.dt]
        command += ["--deployment", str(world.deployment_path)]
        command += ["--store", world.store]
        command += ["--state", str(node.folder / f"state{suffix}")]
        command += ["--node-key", str(node.keystore)]
        command += ["--password-file", str(node.password_file)]
        command += ["--delegation", str(delegation)]
        command += ["--node-config", f'data="{person.data}"']
        return self.processes.start(f"{person.name}{suffix}", command, FAST)

    def wait_for_nodes(self, nodes: list[Process], count: int = 1) -> None:
        """Wait until every node's gate is in place (`count` times since its log began)."""
        for node in nodes:
            node.wait_until(
                lambda node=node: node.text().count("gate in place") >= count,  # type: ignore[misc]
                "its gate",
                START,
            )


@dataclass(frozen=True)
class Link:
    """A running SuperLink."""

    process: Process
    port: int

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"


def _serving(process: Process, port: int) -> Link:
    process.wait_until(lambda: answers(f"http://127.0.0.1:{port}/"), f"port {port}", START)
    return Link(process, port)

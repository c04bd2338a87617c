"""A real gate proxy with a decision in memory instead of a chain.

``python -m tests.fl_edge.gate_proxy.gated_proxy STATE FABS SUPERLINK PORT``: STATE is the gate's
folder, FABS a file that lists the sha256 of granted FABs; the SuperNode's FLWR_HOME is
``STATE/flwr``.
"""

import sys
from pathlib import Path

from datatoken.service.running import configure_logging
from fl_edge.gate_proxy.launch import check_versions, serve
from fl_edge.gate_proxy.settings import Settings


def main(state: Path, fabs: Path, superlink: str, port: str) -> int:
    """Run the proxy until it is stopped."""
    from fl_edge.supernode.apps import AppsFolder
    from fl_edge.supernode.gate import Gate
    from fl_edge.supernode.seam import Link
    from tests.fl_edge.supernode.parts import DT, MemoryAuthority, receipt_book

    check_versions()
    configure_logging()
    state.mkdir(exist_ok=True)
    book, _ = receipt_book(state / "history.sqlite")
    authority = MemoryAuthority(set(fabs.read_text().split()))
    apps = AppsFolder(state / "flwr")

    def make_gate(link: Link) -> Link:
        print("gate in place", flush=True)
        return Gate(link, authority, book, before_run=apps.wipe).link()

    unused = {"deployment": state, "store": "", "node_key": state, "delegation": state}
    settings = Settings(
        superlink=superlink,
        dt=DT,
        state=state,
        password="",
        insecure=True,
        port=int(port),
        **unused,  # type: ignore[arg-type]
    )
    serve(settings, make_gate)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]))

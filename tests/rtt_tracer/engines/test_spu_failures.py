"""What may go wrong at an SPU party, done for real: every party ends, and says why."""

import json
import socket
import ssl
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datatoken.errors import BadInputError, LocalEnvironmentError, RunFailedError
from datatoken.types import sha256_hex
from rtt_tracer.control.certificates import make_certificate
from rtt_tracer.engines.base import Role
from rtt_tracer.engines.spu import SpuEngine, check_results
from tests.rtt_tracer.engines.driver import (
    SHARE,
    Run,
    bank_tables,
    last,
    operation,
    said,
)
from tests.rtt_tracer.engines.test_spu import EPOCHS, TRAINING, in_the_clear, training

pytestmark = pytest.mark.spu

SOON = 8.0
PARAMETERS = {"epochs": EPOCHS, "learning-rate": 1.0}
QUICK = """
class Sum:
    def outputs(self, inputs, state, parameters):
        return {"total": inputs["x0"].sum(axis=0)}
"""


def quick(folder: Path, code: str = QUICK, **program: object) -> bytes:
    return operation(folder, Role.SPU_COMPUTE, code, "Sum", "quick", **program)


def nothing_came_out(run: Run) -> bool:
    return not any(any(folder.glob("*")) for folder in run.results() if folder.exists())


def test_a_peer_that_never_comes(tmp_path: Path) -> None:
    # Prepare
    with Run(tmp_path, quick(tmp_path), "ABY3", seconds=SOON) as run:
        run.rows, run.shapes = 8, [(2,)]

        # Execute
        waiting = [run.begin(rank) for rank in (0, 1)]
        ends = [last(process) for process in waiting]

        # Assert
        assert [end.code for end in ends] == ["LINK_FAILED"] * 2
        assert all("rank 2" in str(end.message) for end in ends)
        assert all(process.wait(10) for process in waiting)
        assert nothing_came_out(run)


def test_a_peer_killed_at_a_stage(tmp_path: Path) -> None:
    # Prepare
    with Run(tmp_path, training(tmp_path), "ABY3", PARAMETERS, seconds=SOON) as run:
        run.share(bank_tables())
        parties = [run.begin(rank) for rank in range(3)]
        for process in parties:
            said(process, "ready")
        for number in (0, 1):
            for process in parties:
                process.go(number)
            for process in parties:
                said(process, "checkpoint")

        # Execute
        parties[2].terminate()
        for process in parties[:2]:
            process.go(2)
        ends = [last(process) for process in parties[:2]]

        # Assert
        assert all(end.event == "failed" for end in ends)
        assert {end.code for end in ends} <= {"ENGINE_FAILED", "ENGINE_EXITED"}
        assert all(process.wait(10) for process in parties)
        assert nothing_came_out(run)


TERMS = {"insecure-dealer": True, "receivers": "requester", "field": "FM64"}
DIFFERENCES = [
    *("program", "parameter", "protocol", "ring", "endpoint", "reveals", "bound", "agreement"),
]


@pytest.mark.parametrize("what", DIFFERENCES)
def test_a_party_with_another_agreement(what: str, tmp_path: Path) -> None:
    """Any difference stops all parties before a share is there to be set.

    Acceptance: 63, 98
    """
    # Prepare
    declared: dict[str, object] = {"name": "total", "bound": 100.0}
    bundle = quick(tmp_path, outputs=[declared])
    with Run(tmp_path, bundle, "CHEETAH", TERMS, seconds=SOON * 4) as run:
        run.rows, run.shapes = 8, [(2,)]
        other = tmp_path / "other"
        changed = QUICK.replace("axis=0)", "axis=0) * 1.5")
        elsewhere = replace(run.parties[0], host="localhost")
        change: dict[str, object] = {
            "program": {"bundle": quick(other, changed, outputs=[declared])},
            "parameter": {"parameters": {**TERMS, "receivers": "0"}},
            "protocol": {"protocol": "SEMI2K"},
            "ring": {"parameters": {**TERMS, "field": "FM128"}},
            "endpoint": {"parties": (elsewhere, run.parties[1])},
            "reveals": {"bundle": quick(other, outputs=[declared, {"name": "more"}])},
            "bound": {"bundle": quick(other, outputs=[declared | {"bound": 1e6}])},
            "agreement": {"agreed": "0x" + "22" * 32},
        }[what]

        # Execute
        parties = [run.begin(0), run.begin(1, **change)]  # type: ignore[arg-type]
        ends = [last(process) for process in parties]

        # Assert
        assert [end.code for end in ends] == ["PREFLIGHT_MISMATCH"] * 2
        assert "Rank 1 " in str(ends[0].message)
        assert nothing_came_out(run)


def test_an_output_that_nobody_declared(tmp_path: Path) -> None:
    """What an operation gives must stand in its document: features do not leave beside weights."""
    # Prepare
    greedy = TRAINING.replace('{"weights":', '{"features": inputs["x0"], "weights":')
    with Run(tmp_path, training(tmp_path, greedy), "ABY3", PARAMETERS) as run:
        run.rows, run.shapes = 64, [(3,), (2, 1)]

        # Execute
        end = last(run.begin(0))

        # Assert
        assert end.code == "OPERATION_UNFIT"
        assert "'features'" in str(end.message)


def test_a_wrong_certificate(tmp_path: Path) -> None:
    """A party with the right name and another key is nobody."""
    # Prepare
    with Run(tmp_path, quick(tmp_path), "CHEETAH", seconds=SOON) as run:
        run.rows, run.shapes = 8, [(2,)]
        rogue, run.keys[1] = make_certificate("rank 1", "127.0.0.1")
        honest = run.parties

        # Execute
        first = run.begin(0)
        run.parties = (honest[0], replace(honest[1], certificate=rogue))
        second = run.begin(1)
        ends = [last(first), last(second)]

        # Assert
        assert [end.code for end in ends] == ["LINK_FAILED"] * 2
        assert "certificate" in (run.work(0) / "relay.log").read_text()


def plain(port: int) -> bytes:
    """Push a message as rank 1 in plain text, as brpc's own port would take it."""

    def block(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    service = block(1, b"org.interconnection.link.ReceiverService") + block(2, b"Push")
    meta = block(1, service) + bytes([4 << 3, 7])
    body = bytes([1 << 3, 1]) + block(2, b"datatoken:P2P-1:1->0") + block(3, b"evil")
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.settimeout(5)
        sock.sendall(b"PRPC" + struct.pack(">II", len(meta) + len(body), len(meta)) + meta + body)
        try:
            return sock.recv(100)
        except ConnectionError:
            return b""


def with_certificate(port: int, pair: tuple[str, str] | None, folder: Path) -> bytes:
    """Say something inside TLS, with a certificate of one's own or none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if pair:
        (folder / "c.pem").write_text(pair[0])
        (folder / "k.pem").write_text(pair[1])
        context.load_cert_chain(folder / "c.pem", folder / "k.pem")
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as sock,
            context.wrap_socket(sock) as inside,
        ):
            inside.settimeout(5)
            inside.sendall(b"PRPC" + bytes(8))
            return inside.recv(100)
    except OSError:
        return b""


def test_stray_connections_to_the_link(tmp_path: Path) -> None:
    """Strangers get no byte and do no harm: plain text, no certificate, a rogue one, silence."""
    # Prepare
    with Run(tmp_path, training(tmp_path), "ABY3", PARAMETERS) as run:
        run.share(bank_tables())
        parties = [run.begin(rank) for rank in range(3)]
        for process in parties:
            said(process, "ready")
        port = run.parties[0].port
        silent = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(40)]

        # Execute
        answers = [plain(port), with_certificate(port, None, tmp_path)]
        for sock in silent:
            sock.close()
        rogue = make_certificate("rank 1", "127.0.0.1")
        answers += [with_certificate(port, rogue, tmp_path), plain(port)]
        for number in range(EPOCHS + 1):
            for process in parties:
                process.go(number)
            for process in parties:
                said(process, "checkpoint")
        for process in parties:
            said(process, "end")

        # Assert
        assert answers == [b""] * 4
        assert np.abs(run.open()["weights"] - in_the_clear(1.0)).max() < 5e-3


def test_a_taken_port(tmp_path: Path) -> None:
    with Run(tmp_path, quick(tmp_path), "CHEETAH") as run, socket.socket() as taken:
        run.rows, run.shapes = 8, [(2,)]
        taken.bind(("127.0.0.1", run.parties[0].port))
        taken.listen()
        with pytest.raises(LocalEnvironmentError, match="in use"):
            run.begin(0)


def test_no_protocol_that_needs_trust_by_accident(tmp_path: Path) -> None:
    """SEMI2K's dealer could learn all inputs: only with the explicit parameter; REF2K never."""
    # Prepare
    for number, (protocol, parameters) in enumerate(
        [("SEMI2K", {}), ("SEMI2K", {"insecure-dealer": "true"}), ("REF2K", {}), ("ABY3", {})]
    ):
        with Run(tmp_path / str(number), quick(tmp_path), "CHEETAH", parameters) as run:
            run.rows, run.shapes = 8, [(2,)]

            # Execute
            end = last(run.begin(0, protocol=protocol))

        # Assert
        assert end.code == "PROTOCOL_INSECURE", protocol


def test_an_exceptions_text_stays_in_the_log(tmp_path: Path) -> None:
    """What an operation raises may quote a row: only its type is told."""
    # Prepare
    code = "def share(table, parameters, party):\n    raise ValueError(f'row {table}')\n"
    with (
        Run(tmp_path, quick(tmp_path), "CHEETAH") as run,
        pytest.raises(AssertionError, match="OPERATION_FAILED") as caught,
    ):
        # Execute
        run.share([{"a": np.full(4, 987654.0)}], code)

    # Assert
    assert "ValueError" in str(caught.value)
    assert "987654" not in str(caught.value).partition("tables")[0]
    assert "987654" in (tmp_path / "data-0/engine.log").read_text()


@pytest.mark.parametrize(
    "values",
    ["{'x': [[float('nan')]] * 4}", "{'x': [[1e30]] * 4}", "{'z': [1.0] * 4}", "{'x': [1.0]}", "7"],
)
def test_unfit_arrays_are_not_shared(values: str, tmp_path: Path) -> None:
    code = (
        "import numpy as np\n\ndef share(table, parameters, party):\n"
        f"    found = {values}\n"
        "    return {n: np.array(v) for n, v in found.items()} if found != 7 else 7\n"
    )
    with (
        Run(tmp_path, quick(tmp_path), "CHEETAH") as run,
        pytest.raises(AssertionError, match="OPERATION_UNFIT"),
    ):
        run.share([{"a": np.zeros(4)}], code)


def test_a_forged_share_is_not_set(tmp_path: Path) -> None:
    """A data party's share of another shape, and bytes that are none, end the run."""
    # Prepare
    with Run(tmp_path, quick(tmp_path), "CHEETAH", seconds=SOON * 3) as run:
        run.share([{"a": np.ones(16), "b": np.ones(16)}], SHARE)
        path = run.work(0) / "in/shares/x0"
        path.write_bytes(path.read_bytes()[:-8])
        run.shapes = [(2,)]
        parties = [run.begin(rank) for rank in range(2)]
        for process in parties:
            said(process, "ready")

        # Execute
        parties[0].go(0)
        end = last(parties[0])

        # Assert
        assert end.code == "SHARES_UNFIT"


def test_results_are_held_against_their_commitment(tmp_path: Path) -> None:
    """A share swapped after the run, and shares of garbage, are not opened.

    Acceptance: 103
    """
    # Prepare
    with Run(tmp_path, quick(tmp_path), "CHEETAH") as run:
        run.share([{"a": np.ones(16), "b": np.full(16, 2.0)}])
        assert run.run(1)["total"].tolist() == [16.0, 32.0]
        folder, event = run.results()[1], run.checkpoints[-1][1]
        assert event.commitment is not None
        share = folder / "total.share"
        content = bytearray(share.read_bytes())
        content[-1] ^= 0x40

        # Execute
        share.write_bytes(bytes(content))

        # Assert
        with pytest.raises(RunFailedError, match="committed"):
            check_results(folder, event.commitment)
        with pytest.raises(RunFailedError, match="manifest"):
            run.open()
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["outputs"][0]["sha256"] = sha256_hex(bytes(content))
        (folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(RunFailedError, match="not computed right"):
            run.open()


def test_the_operation_sees_no_key_and_has_no_network(tmp_path: Path) -> None:
    """The link's key is gone before the operation starts; its Launch asks for no port."""
    # Prepare
    code = QUICK.replace(
        "class Sum:",
        "import pathlib, socket\nopen('out/keys', 'w').write(str("
        "[str(p) for p in pathlib.Path('.').rglob('*key*')]))\n"
        "try:\n    socket.create_connection(('127.0.0.1', PORT), 3)\n    found = 'reached'\n"
        "except OSError as error:\n    found = 'no'\n"
        "open('out/network', 'w').write(found)\n\n\nclass Sum:",
    )
    with socket.socket() as outside:
        outside.bind(("127.0.0.1", 0))
        outside.listen()
        code = code.replace("PORT", str(outside.getsockname()[1]))
        bundle = operation(tmp_path, Role.SPU_COMPUTE, code, "Sum", "curious")
        with Run(tmp_path, bundle, "CHEETAH") as run:
            run.rows, run.shapes = 8, [(2,)]

            # Execute
            parties = [run.begin(rank) for rank in range(2)]
            for process in parties:
                said(process, "ready")

    # Assert
    assert "key.pem" not in (run.work(0) / "out/keys").read_text()
    assert (run.work(0) / "out/network").read_text() == "no"


def test_a_missing_environment_says_what_to_do(tmp_path: Path) -> None:
    why = SpuEngine(tmp_path / "python").missing()
    assert why is not None
    assert "make spu" in why


def test_a_bundle_of_another_role_is_not_started(tmp_path: Path) -> None:
    with Run(tmp_path, quick(tmp_path), "CHEETAH") as run:
        job = run.job(Role.SPU_SHARE, tmp_path / "work", "quick:x")
        with pytest.raises(BadInputError, match=r"spu\.compute"):
            run.start(job, run.compute)

"""Parties, requests and bytes that are not what was agreed: found out, and said at all parties.

Hostile parties are real ones with one thing bent (`tests.rtt_tracer.party.hostile`).
"""

import itertools
import socket
import ssl
from pathlib import Path

import pytest

from datatoken.store.cid import flatfs_key
from rtt_tracer.control.certificates import make_certificate
from tests.rtt_tracer.party.conftest import Ground, Run
from tests.rtt_tracer.party.test_failures import LONG
from tests.rtt_tracer.processes import PartyProcess, reports, wait_all

pytestmark = pytest.mark.spu


@pytest.fixture(scope="module")
def finished(ground: Ground) -> Run:
    """A run that has ended well."""
    run = ground.run(epochs=1)
    assert wait_all(run.parties) == [0] * 5, reports(run.parties)
    return run


def with_trick(ground: Ground, run: Run, trick: str) -> PartyProcess:
    """Start all parties, one of them hostile."""
    hostile = ground.computes[1]
    run.start(hostile)
    run.parties.append(ground.world.start(hostile, run.job, run.request, trick=trick))
    return run.party(hostile)


def test_party_with_another_learning_rate(ground: Ground) -> None:
    """A party that has switched its own gate off is found out before a share leaves."""
    run = ground.ask(epochs=LONG)

    with_trick(ground, run, "other_learning_rate")

    run.check_ended("AGREEMENT_MISMATCH")
    assert not any(party.has("shares_sent") or party.has("go") for party in run.parties)


def test_party_whose_engine_has_another_precision(ground: Ground) -> None:
    """It has agreed to what it does not keep to: the engines' preflight finds it out."""
    run = ground.ask(epochs=LONG)

    with_trick(ground, run, "other_precision")

    run.check_ended("ENGINE_FAILED")
    assert any("another program" in party.status["sentence"] for party in run.parties)
    assert not any(run.party(asset).has("go") for asset in ground.computes)


def test_wrong_certificate(ground: Ground) -> None:
    """Whoever shows another certificate than the introduced one is nobody."""
    ground.configure(peers=15)
    run = ground.ask(epochs=LONG)

    impostor = with_trick(ground, run, "wrong_certificate")

    run.check_ended("PARTY_MISSING")
    assert not any(party.has("agreed") for party in run.others(impostor.asset))


def test_wrong_certificate_at_the_engines_link(ground: Ground) -> None:
    ground.configure(start=60, progress=15)
    run = ground.ask(epochs=LONG)

    with_trick(ground, run, "wrong_link_certificate")

    run.check_ended("ENGINE_FAILED")
    said = [party.status["sentence"] for party in run.parties]
    assert any("certificate" in one for one in said), said
    assert not any(run.party(asset).has("go") for asset in ground.computes)


def test_receipt_of_an_earlier_run_is_not_taken_for_this_one(ground: Ground, finished: Run) -> None:
    """A signed checkpoint replayed: same job, same party, same stage, another request."""
    run = ground.ask_again(finished.job, finished.algorithm, epochs=LONG)
    rounds = ground.world.logged(run.job)

    with_trick(ground, run, "replayed_receipt")

    wait_all(run.parties)
    said = {party.status["reason"] for party in run.parties}
    assert said == {"CHECKPOINT_MISMATCH"}, reports(run.parties)
    assert ground.world.left_behind() == []
    assert run.stored() == 0
    assert ground.world.logged(run.job) == rounds


def test_replayed_request_starts_nothing_a_second_time(ground: Ground, finished: Run) -> None:
    """Threat: replayed request. Acceptance: 112"""
    before = {one.asset.dt: one.status for one in finished.parties}
    rounds = ground.world.logged(finished.job)

    again = ground.world.start_all(ground.assets, finished.job, finished.request)

    assert wait_all(again) == [4] * 5, reports(again)
    for party in again:
        assert "REQUEST_REPLAYED" in party.log.read_text()
        assert party.status == before[party.asset.dt]
    assert ground.world.logged(finished.job) == rounds


def test_replayed_request_at_a_party_that_lost_its_memory(
    ground: Ground, finished: Run, tmp_path: Path
) -> None:
    """The recorder has its introduction still: nobody is introduced twice. Acceptance: 112"""
    asset = ground.computes[0]
    state = asset.folder / "state"
    state.rename(tmp_path / "forgotten")

    again = ground.world.start(asset, finished.job, finished.request)

    assert again.wait(60) == 4, again.report()
    assert again.status["reason"] == "REQUEST_REPLAYED"
    assert not again.has("go")


def test_swapped_bundle_after_approval(ground: Ground) -> None:
    """Threat: swapped bundle after approval, in the store. Acceptance: 65, 103"""
    run = ground.ask(epochs=1)
    bundle = _bundle_file(ground, ground.computes[0].operation)
    content = bundle.read_bytes()
    bundle.chmod(0o644)
    bundle.write_bytes(content[:-30] + bytes([content[-30] ^ 1]) + content[-29:])
    try:
        run.start()
        run.check_ended("OPERATION_MISMATCH")
    finally:
        bundle.write_bytes(content)
    assert {party.status["state"] for party in run.parties} == {"refused"}
    assert not any(party.has("introduced") for party in run.parties)


def test_stray_connections_disturb_nobody(ground: Ground, tmp_path: Path) -> None:
    """Threat: stray connection to a party: plain text, noise, TLS without or with a rogue one."""
    run = ground.run(epochs=4)
    for party in run.parties:
        party.wait_for("introduced")
    kinds = itertools.cycle([b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 300, None, "rogue"])
    ports = [port for party in run.parties for port in _ports(party)]
    answers: list[bytes] = []

    for port in itertools.cycle(ports):
        if all(party.child.poll() is not None for party in run.parties):
            break
        answers += _stray(port, next(kinds), tmp_path)

    assert wait_all(run.parties) == [0] * 5, reports(run.parties)
    assert len(ports) == 8
    assert len(answers) > 20
    assert not any(b"PRPC" in answer or b"agreed" in answer for answer in answers)
    run.check_log()


def _stray(port: int, kind: bytes | str | None, folder: Path) -> list[bytes]:
    """Connect as a stranger; return what was answered, if anybody was there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as plain:
            plain.settimeout(0.3)
            if isinstance(kind, bytes):
                plain.sendall(kind)
                return [_heard(plain)]
            with _context(kind == "rogue", folder).wrap_socket(plain) as inside:
                inside.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                return [_heard(inside)]
    except ssl.SSLError:
        return [b""]  # turned away in the handshake
    except OSError:
        return []  # nobody listens yet, or any more


def _heard(stray: socket.socket) -> bytes:
    try:
        return stray.recv(1000)
    except OSError:
        return b""


def _context(rogue: bool, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if rogue:
        path = folder / "rogue.pem"
        if not path.exists():
            path.write_text("".join(make_certificate("control", "127.0.0.1")))
        context.load_cert_chain(path)
    return context


def _ports(party: PartyProcess) -> list[int]:
    """Return the ports that a party has introduced."""
    found = next(event for event in party.events if event["event"] == "introduced")
    return [int(found[name]) for name in ("port", "link") if found.get(name)]


def _bundle_file(ground: Ground, operation: str) -> Path:
    document = ground.world.world.a.site.documents.operation(operation).document
    key = flatfs_key(document.bundle)
    return ground.world.world.store_folder / "blocks" / key[-3:-1] / f"{key}.data"

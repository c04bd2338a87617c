"""The control channel end to end: who is heard, and what the others notice of the rest."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.errors import LocalEnvironmentError
from datatoken.types import sha256_hex
from rtt_tracer.control import receiver
from rtt_tracer.control.channel import ControlChannel
from rtt_tracer.control.messages import Agree, Commit, Final, Message, Stop, pack
from rtt_tracer.control.wire import SAY, WATCH, Gone, method
from tests.rtt_tracer.control.conftest import PLAN, WORLD, Parties, call, code_of
from tests.support.mpc import make_certificate

AGREED = sha256_hex(b"agreed")
NewParties = Callable[[], Parties]


def said(channel: ControlChannel, timeout: float = 10.0) -> tuple[str, object]:
    found = channel.heard(timeout)
    assert found is not None, "nothing was heard"
    return found


def test_messages_arrive_in_order_under_the_name_of_the_certificate(parties: Parties) -> None:
    a, b, c, d = (parties.channels[dt] for dt in parties.dts)
    messages: list[Message] = [Agree(agreed=AGREED)]
    messages += [Commit(number=n, commitment=sha256_hex(bytes([n]))) for n in range(20)]

    for message in messages:
        a.say(message)
    b.say(Agree(agreed=AGREED), to=d.me)

    for peer in (b, c):
        assert [said(peer) for _ in messages] == [(a.me, message) for message in messages]
    from_a = [said(d) for _ in range(len(messages) + 1)]
    assert (b.me, Agree(agreed=AGREED)) in from_a
    assert a.heard(0) is None
    assert a.bytes_sent > 0


def test_peer_that_comes_late_is_waited_for(new_parties: NewParties) -> None:
    parties = new_parties()
    for dt in parties.dts[:3]:
        parties.start(dt)
    late = parties.dts[3]
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        parties.ports[late] = placeholder.getsockname()[1]
        parties.meet()
    timer = threading.Timer(1.0, lambda: parties.start(late, ports=[parties.ports[late]]))
    meeting = threading.Timer(2.0, lambda: parties.meet(late))
    timer.start()
    meeting.start()

    parties.channels[parties.dts[0]].say(Agree(agreed=AGREED), timeout=30)

    meeting.join()
    assert said(parties.channels[late]) == (parties.dts[0], Agree(agreed=AGREED))


def test_peer_that_never_comes_is_named_and_the_others_have_the_message(
    new_parties: NewParties,
) -> None:
    parties = new_parties()
    for dt in parties.dts[:3]:
        parties.start(dt)
    parties.meet()
    a, b, c = (parties.channels[dt] for dt in parties.dts[:3])

    with pytest.raises(Refused) as caught:
        a.say(Agree(agreed=AGREED), timeout=1.0)
    heard = a.tell(Stop(reason="PARTY_MISSING", sentence="one is missing"), timeout=1.0)

    assert caught.value.reason is Reason.PARTY_MISSING
    assert parties.dts[3][:10] in caught.value.message
    assert sorted(heard) == sorted([b.me, c.me])
    for peer in (b, c):
        assert said(peer) == (a.me, Agree(agreed=AGREED))
        assert said(peer)[1] == Stop(reason="PARTY_MISSING", sentence="one is missing")


def test_stop_overtakes_what_waits_for_a_peer_that_is_away(new_parties: NewParties) -> None:
    """One participant stalling the rest."""
    parties = new_parties()
    for dt in parties.dts[:2]:
        parties.start(dt)
    parties.meet()
    a, b = (parties.channels[dt] for dt in parties.dts[:2])

    def say() -> None:
        with pytest.raises(Refused):
            a.say(Agree(agreed=AGREED), timeout=30.0)

    waiting = threading.Thread(target=say)
    waiting.start()
    assert said(b) == (a.me, Agree(agreed=AGREED))

    assert a.tell(Stop(reason="GRANT_REVOKED"), timeout=2.0) == [b.me]

    assert said(b) == (a.me, Stop(reason="GRANT_REVOKED"))
    a.stop()
    waiting.join(10)
    assert not waiting.is_alive()


# Who gets in


def test_wrong_certificate_is_not_let_in_and_disturbs_nobody(parties: Parties) -> None:
    a, b = (parties.channels[dt] for dt in parties.dts[:2])
    certificate, key = make_certificate(a.me, "127.0.0.1")  # the same name, another key

    stranger = parties.raw(b.me, certificate, key)
    nobody = parties.raw(b.me, None, None)

    content = pack(1, Agree(agreed=AGREED))
    for channel in (stranger, nobody):
        assert code_of(channel, SAY, content) is grpc.StatusCode.UNAVAILABLE
        channel.close()
    assert b.heard(0.2) is None
    a.say(Agree(agreed=AGREED))
    assert said(b) == (a.me, Agree(agreed=AGREED))


def test_certificate_that_a_peer_has_issued_is_not_let_in(parties: Parties) -> None:
    """A party's certificate is no CA: its key can't let anybody else in."""
    a, b = parties.dts[:2]
    certificate, key = issued_by(*WORLD.certificates[a])

    for chain in (certificate, certificate + WORLD.certificates[a][0]):
        channel = parties.raw(b, chain, key)
        assert code_of(channel, SAY, pack(1, Agree(agreed=AGREED))) in (
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.PERMISSION_DENIED,
        )
        channel.close()

    assert parties.channels[b].heard(0.2) is None


def issued_by(issuer: str, issuer_key: str) -> tuple[str, str]:
    """Return a certificate and key that a party has signed for somebody else."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    own, key = make_certificate("somebody", "127.0.0.1")
    template = x509.load_pem_x509_certificate(own.encode())
    above = x509.load_pem_x509_certificate(issuer.encode())
    signer = serialization.load_pem_private_key(issuer_key.encode(), None)
    builder = (
        x509.CertificateBuilder()
        .subject_name(template.subject)
        .issuer_name(above.subject)
        .public_key(template.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(template.not_valid_before_utc)
        .not_valid_after(template.not_valid_after_utc)
    )
    made = builder.sign(signer, hashes.SHA256())  # type: ignore[arg-type]
    return made.public_bytes(serialization.Encoding.PEM).decode(), key


def test_peer_certificate_used_for_another_dt_speaks_for_its_own_only(parties: Parties) -> None:
    """A says it is B: nothing in a message or a certificate's name counts."""
    a, b, c = parties.dts[:3]
    channel = parties.raw(c, *WORLD.certificates[a])

    call(channel, SAY, pack(1, Agree(agreed=AGREED)))

    assert said(parties.channels[c]) == (a, Agree(agreed=AGREED))
    channel.close()
    with pytest.raises(Refused) as caught:
        same = WORLD.contact(WORLD.certificates[a][0], parties.ports[b])
        found = parties.introductions() | {b: WORLD.introduce(PLAN, b, control=same)}
        parties.start(c).meet(found)
    assert caught.value.reason is Reason.AGREEMENT_MISMATCH


def test_impostor_on_a_peers_port_is_told_nothing(new_parties: NewParties) -> None:
    """Another process listens where B introduced itself, with a certificate of its own."""
    parties = new_parties()
    a, b = parties.dts[:2]
    parties.start(a)
    certificate, key = make_certificate(b, "127.0.0.1")
    impostor = ControlChannel(b, certificate, key)
    try:
        parties.ports[b] = impostor.start()
        impostor.meet(parties.introductions())
        parties.meet(a)

        with pytest.raises(Refused) as caught:
            parties.channels[a].say(Agree(agreed=AGREED), to=b, timeout=1.5)

        assert caught.value.reason is Reason.PARTY_MISSING
        assert impostor.heard(0) is None
    finally:
        impostor.stop()


def test_nobody_is_let_in_before_the_introductions(new_parties: NewParties) -> None:
    parties = new_parties()
    a, b = parties.dts[:2]
    parties.start(b)

    for certificate, key in (WORLD.certificates[a], WORLD.certificates[b]):
        channel = parties.raw(b, certificate, key)
        assert code_of(channel, SAY, pack(1, Agree(agreed=AGREED))) in (
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.PERMISSION_DENIED,
        )
        channel.close()

    assert parties.channels[b].heard(0) is None


def test_stray_connections_to_the_port_do_not_disturb(parties: Parties) -> None:
    """Garbage, HTTP, a plain gRPC client, a TLS greeting and silence, by the dozen."""
    a, b = (parties.channels[dt] for dt in parties.dts[:2])
    address = ("127.0.0.1", parties.ports[b.me])
    greetings = [
        b"", b"\x00" * 1000, os.urandom(5000), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes.fromhex("16030100050100000100"),
    ]  # fmt: skip
    open_sockets = []
    for greeting in greetings * 10:
        stray = socket.create_connection(address)
        stray.sendall(greeting)
        open_sockets.append(stray)
    with grpc.insecure_channel(f"127.0.0.1:{address[1]}") as plain:
        assert code_of(plain, SAY, pack(1, Agree(agreed=AGREED))) is grpc.StatusCode.UNAVAILABLE

    a.say(Agree(agreed=AGREED))

    assert said(b) == (a.me, Agree(agreed=AGREED))
    for stray in open_sockets:
        stray.close()


def test_proxy_of_the_environment_is_not_asked(
    new_parties: NewParties, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    parties = new_parties()
    for dt in parties.dts[:2]:
        parties.start(dt)
    parties.meet()
    a, b = (parties.channels[dt] for dt in parties.dts[:2])

    a.say(Agree(agreed=AGREED), to=b.me, timeout=10)

    assert said(b) == (a.me, Agree(agreed=AGREED))


# What a peer may send


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"\xff", b"[" * 10_000, b'{"agree":{"agreed":"0x"},"number":1}',
        b'{"number":1}', b'{"agree": {}, "number": 1}',
        b'{"agree":{"agreed":"' + AGREED.encode() + b'"},"final":null,"number":1}',
        pack(1, Agree(agreed=AGREED)) + b" ",
        pack(1, Stop(reason="X")).replace(b'"X"', b'"x y"'),
        pack(1, Stop(reason="X")).replace(b'"sentence":""', b'"sentence":"' + b"y" * 1001 + b'"'),
        b'{"agree":{"agreed":"' + AGREED.encode() + b'"},"number":1,"stop":{"reason":"X"}}',
    ],
    ids=range(12),
)  # fmt: skip
def test_malformed_message_is_refused_and_nothing_of_it_stays(
    parties: Parties, content: bytes
) -> None:
    a, b = parties.dts[:2]
    channel = parties.raw(b, *WORLD.certificates[a])

    assert code_of(channel, SAY, content) is grpc.StatusCode.INVALID_ARGUMENT

    assert parties.channels[b].heard(0) is None
    parties.channels[a].say(Agree(agreed=AGREED))
    assert said(parties.channels[b]) == (a, Agree(agreed=AGREED))
    channel.close()


def test_oversized_message_is_refused(parties: Parties) -> None:
    a, b = parties.dts[:2]
    channel = parties.raw(b, *WORLD.certificates[a])

    over = b'{"x":"' + b"y" * (64 * 1024) + b'"}'
    assert code_of(channel, SAY, over) is grpc.StatusCode.INVALID_ARGUMENT
    assert code_of(channel, SAY, b"y" * (2 * 1024 * 1024)) is grpc.StatusCode.RESOURCE_EXHAUSTED

    assert parties.channels[b].heard(0) is None
    channel.close()


def test_message_that_is_sent_again_is_taken_once(parties: Parties) -> None:
    a, b = parties.dts[:2]
    channel = parties.raw(b, *WORLD.certificates[a])
    first, second = pack(1, Agree(agreed=AGREED)), pack(5, Stop(reason="X"))

    for content in (first, first, second, first, second):
        call(channel, SAY, content)

    found = [said(parties.channels[b])[1] for _ in range(2)]
    assert found == [Agree(agreed=AGREED), Stop(reason="X")]
    assert parties.channels[b].heard(0.1) is None
    channel.close()


def test_flood_of_messages_is_bounded(parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "MAX_INBOX", 5)
    a, b = (parties.channels[dt] for dt in parties.dts[:2])
    for number in range(5):
        a.say(Commit(number=number, commitment=AGREED), to=b.me)

    with pytest.raises(Refused) as caught:
        a.say(Commit(number=5, commitment=AGREED), to=b.me)

    assert caught.value.reason is Reason.PARTY_STOPPED
    assert b.inbox.qsize() == 5


def test_peer_that_takes_all_calls_keeps_nobody_out(parties: Parties) -> None:
    """One participant stalling the rest: hundreds of calls that never end."""
    a, b, c = parties.dts[:3]
    channel = parties.raw(c, *WORLD.certificates[a])
    watch = channel.unary_stream(method(WATCH))
    calls = [watch(b"", timeout=60) for _ in range(300)]
    next(iter(calls[-1]))

    parties.channels[b].say(Agree(agreed=AGREED), to=c, timeout=20)

    assert said(parties.channels[c]) == (b, Agree(agreed=AGREED))
    for one in calls:
        one.cancel()
    channel.close()


# Ends


PEER = """
import sys
from pathlib import Path
from rtt_tracer.agreement.introductions import parse_introduction
from rtt_tracer.control.channel import ControlChannel
from rtt_tracer.control.messages import Agree, Stop

me, folder = sys.argv[1], Path(sys.argv[2])
channel = ControlChannel(me, (folder / "certificate").read_text(), (folder / "key").read_text())
print(channel.start(), flush=True)
sys.stdin.readline()
found = [parse_introduction(path.read_bytes()) for path in folder.glob("*.json")]
channel.meet({one.introduction.dt: one for one in found})
channel.say(Agree(agreed="0x" + "1" * 64))
print("said", flush=True)
sys.stdin.readline()
channel.say(Stop(reason="ENGINE_FAILED"))
channel.stop()
"""


class Process:
    """A peer in a process of its own."""

    def __init__(self, parties: Parties, dt: str, folder: Path) -> None:
        from datatoken.ddo.canonical import canonical_bytes

        self.folder = folder
        folder.mkdir()
        for name, text in zip(("certificate", "key"), WORLD.certificates[dt], strict=True):
            (folder / name).write_text(text)
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PEER), dt, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        parties.ports[dt] = int(self.line())
        for number, signed in enumerate(parties.introductions().values()):
            (folder / f"{number}.json").write_bytes(canonical_bytes(signed))
        parties.meet()
        self.go()
        assert self.line() == "said"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def test_killed_party_is_noticed_by_the_others(new_parties: NewParties, tmp_path: Path) -> None:
    parties = new_parties()
    a, b, c, d = parties.dts
    for dt in (a, b, c):
        parties.start(dt, grace=0.5)
    peer = Process(parties, d, tmp_path / "peer")
    assert [said(parties.channels[dt])[0] for dt in (a, b, c)] == [d, d, d]

    peer.process.send_signal(signal.SIGKILL)
    peer.process.wait(10)

    for dt in (a, b, c):
        sender, event = said(parties.channels[dt], 30)
        assert sender == d
        assert isinstance(event, Gone)
    with pytest.raises(Refused) as caught:
        parties.channels[a].say(Agree(agreed=AGREED), to=d, timeout=1.0)
    assert caught.value.reason is Reason.PARTY_MISSING


def test_party_that_stops_says_why_and_is_not_reported_gone(
    new_parties: NewParties, tmp_path: Path
) -> None:
    parties = new_parties()
    a, b, c, d = parties.dts
    for dt in (a, b, c):
        parties.start(dt, grace=0.2)
    peer = Process(parties, d, tmp_path / "peer")
    assert said(parties.channels[a])[0] == d

    peer.go()
    assert peer.process.wait(20) == 0

    assert said(parties.channels[a]) == (d, Stop(reason="ENGINE_FAILED"))
    assert parties.channels[a].heard(1.0) is None


def test_two_jobs_on_one_port_the_second_takes_another_or_says_so(
    new_parties: NewParties,
) -> None:
    parties = new_parties()
    a, b = parties.dts[:2]
    parties.start(a)
    taken = parties.ports[a]

    with pytest.raises(LocalEnvironmentError, match="none of its ports is free"):
        parties.start(b, ports=[taken])
    parties.start(b, ports=[taken, 0])

    assert parties.ports[b] != taken


def test_stop_frees_the_port_and_leaves_no_thread(new_parties: NewParties) -> None:
    parties = new_parties()
    for dt in parties.dts:
        parties.start(dt)
    parties.meet()
    parties.channels[parties.dts[0]].say(Final(digest=AGREED, checkpoints=0))

    parties.stop()
    parties.stop()

    for port in parties.ports.values():
        socket.create_server(("127.0.0.1", port)).close()
    left = [t.name for t in threading.enumerate() if t.name.split("_")[0] in ("watch", "say")]
    assert left == []


def test_ipv6(new_parties: NewParties) -> None:
    parties = new_parties()
    a, b = parties.dts[:2]
    for dt in (a, b):
        parties.start(dt, host="::1")
        contact = WORLD.contact(WORLD.certificates[dt][0], parties.ports[dt])
        parties._contacts[dt] = contact.model_copy(update={"host": "::1"})
    parties.meet(a, b)

    parties.channels[a].say(Agree(agreed=AGREED), to=b)

    assert said(parties.channels[b]) == (a, Agree(agreed=AGREED))

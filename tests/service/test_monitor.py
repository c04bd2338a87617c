"""Metrics and health of a gate: what they tell, to whom, and what nobody can do to them."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from datatoken.authorization.reasons import Reason
from datatoken.chain.rpc import Rpc
from datatoken.errors import LocalEnvironmentError
from datatoken.service.monitor import MAX_CALLS, Monitor, MonitorServer


@pytest.fixture
def monitor() -> Monitor:
    return Monitor("supernode", clock=lambda: 1_800_000_030.0)


@pytest.fixture
def served(monitor: Monitor) -> Iterator[MonitorServer]:
    server = MonitorServer(monitor, "127.0.0.1", 0)
    server.start()
    yield server
    server.stop()


def get(server: MonitorServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=20) as got:
            return got.status, got.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_what_others_sent_is_never_a_label(monitor: Monitor) -> None:
    """A message's type is the server's text: without bounds it would fill the memory."""
    for number in range(1000):
        monitor.refused(f'train"}} 1\nowned{number}', Reason.MESSAGE_KIND_NOT_ANSWERED)

    text = monitor.text()

    name = "datatoken_supernode_messages_total"
    assert f'{name}{{kind="unknown",outcome="MESSAGE_KIND_NOT_ANSWERED"}} 1000' in text
    assert "owned" not in text


def test_a_decision_is_measured_whatever_it_is(monitor: Monitor) -> None:
    with pytest.raises(ZeroDivisionError), monitor.deciding():
        raise ZeroDivisionError
    with monitor.deciding():
        pass
    monitor.saw(1_800_000_000)

    text = monitor.text()

    assert 'datatoken_supernode_decision_seconds_bucket{le="+Inf"} 2' in text
    assert "datatoken_supernode_decision_seconds_count 2" in text
    assert "datatoken_supernode_last_view_age_seconds 30" in text


def test_chain_out_of_reach(monitor: Monitor, served: MonitorServer) -> None:
    """Acceptance: 111."""
    monitor.add_probe("recorder", lambda: None)
    monitor.add_probe("chain", lambda: Rpc("http://127.0.0.1:1").verify_chain(1))

    status, text = get(served, "/healthz")

    assert status == 503
    assert '"recorder": "ok"' in text
    assert "CHAIN_UNREACHABLE" in text


def test_whoever_asks_often_sends_nothing_out(monitor: Monitor, served: MonitorServer) -> None:
    asked: list[int] = []
    monitor.add_probe("chain", lambda: asked.append(1))

    found = [get(served, "/healthz")[0] for _ in range(20)]

    assert found == [200] * 20
    assert len(asked) <= 2


def test_probe_that_breaks_tells_no_inside(monitor: Monitor, served: MonitorServer) -> None:
    def broken() -> None:
        raise RuntimeError("/home/owner/secret")

    monitor.add_probe("chain", broken)

    status, text = get(served, "/healthz")

    assert status == 503
    assert "RuntimeError" in text
    assert "secret" not in text


def test_callers_who_say_nothing_cost_a_bounded_number_of_threads(served: MonitorServer) -> None:
    idle = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(MAX_CALLS + 8)]
    try:
        refused = idle[-1]
        refused.settimeout(10)
        assert refused.recv(1) == b""  # closed at once
    finally:
        for one in idle:
            one.close()


def test_other_addresses_and_methods(served: MonitorServer) -> None:
    assert get(served, "/")[0] == 404
    assert get(served, "/metrics?x=1")[0] == 404
    request = urllib.request.Request(f"http://127.0.0.1:{served.port}/metrics", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, data=b"", timeout=20)
    assert caught.value.code == 501


def test_port_in_use(monitor: Monitor, served: MonitorServer) -> None:
    with pytest.raises(LocalEnvironmentError, match="can't listen"):
        MonitorServer(monitor, "127.0.0.1", served.port)

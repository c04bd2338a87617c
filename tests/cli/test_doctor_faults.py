"""``datatoken doctor`` on installations that are broken or hostile: it says what, and goes on."""

import socket
import ssl
import subprocess
import sys
import threading
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from datatoken.chain.deployment import Deployment
from datatoken.doctor import Finding, State, machine, network
from rtt_tracer.doctor import checks
from rtt_tracer.engines.spu import SpuEngine
from tests.cli.conftest import call
from tests.support.certificates import Authority
from tests.support.chain import Chain
from tests.support.proxy import proxy_to

ADDRESS = "0x" + "11" * 20
CONTRACTS = dict.fromkeys(
    ("institutions", "operations", "tokens", "market", "log", "view"), ADDRESS
)


def deployment(**given: Any) -> Deployment:
    plain = {"chain_id": 31337, "rpc_urls": ("http://127.0.0.1:1", "http://127.0.0.1:2")}
    return Deployment.model_validate({**plain, **CONTRACTS, **given})


@contextmanager
def recorder(content: bytes, certificate: tuple[Path, Path]) -> Iterator[str]:
    """Serve one answer over TLS."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


# The chain


@pytest.mark.parametrize(
    ("given", "word"), [({"chain_id": 5}, "chain 5"), ({"profile": "none/there.toml"}, "there")]
)
def test_chain_that_is_not_known(tmp_path: Path, given: dict[str, Any], word: str) -> None:
    deployment(**given).save(tmp_path / "deployment.json")

    result = call("doctor", "--format", "json", folder=tmp_path)

    assert result.code == 8
    chain = [one for one in result.json["findings"] if one["area"] == "chain"]
    assert word in chain[-1]["what"]
    assert chain[-1]["state"] == "error"
    assert {"python", "keys", "store"} <= {one["area"] for one in result.json["findings"]}


@pytest.mark.parametrize(
    ("quorum", "state"), [(3, State.ERROR), (1, State.WARNING), (2, State.OK), (None, State.OK)]
)
def test_quorum_of_two_endpoints(quorum: int | None, state: State) -> None:
    first, *endpoints = network.endpoints(deployment(quorum=quorum))

    assert first.state is state
    assert f"{quorum or 2} of 2" in first.what
    assert len(endpoints) == 2


@pytest.mark.parametrize("header", [{}, {"number": "0x1"}, {"number": 1, "timestamp": []}, "no"])
def test_header_that_is_none_hides_no_other_endpoint(chain: Chain, header: object) -> None:
    with proxy_to(chain.url) as proxy:
        proxy.before = lambda request: (
            {"result": header} if request["method"] == "eth_getBlockByNumber" else None
        )
        urls = (proxy.url, *chain.deployment.rpc_urls)
        found = list(network.endpoints(chain.deployment.model_copy(update={"rpc_urls": urls})))

    assert [one.state for one in found[1:]] == [State.ERROR, State.OK]
    assert proxy.url in found[1].what


def test_key_in_an_endpoints_address_is_not_shown() -> None:
    """Threat: what the doctor says is sent to others, who ask for it."""
    one = deployment(rpc_urls=("http://user:s3cret@127.0.0.1:1/v3/APIKEY",))

    found = list(network.endpoints(one))

    assert "http://127.0.0.1:1:" in found[1].what
    assert "v3" not in found[1].what.partition(": ")[0]


# TLS and recorders


def test_recorder_whose_authority_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path / "authority")
    with recorder(b'{"status": "ok"}', authority.issue("recorder", "127.0.0.1")) as url:
        (stranger,) = network.recorder(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
        (found,) = network.recorder(url)

    assert found.state is State.OK
    assert stranger.state is State.ERROR
    assert "certificate" in stranger.what


def test_recorder_that_floods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path / "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    content = b"x" * (network.MAX_HEALTH + 1)
    with recorder(content, authority.issue("recorder", "127.0.0.1")) as url:
        (found,) = network.recorder(url)

    assert found.state is State.ERROR
    assert "exceeds" in found.what


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_authorities_that_can_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))

    result = call("doctor", "--format", "json", folder=tmp_path)

    (found,) = [one for one in result.json["findings"] if one["area"] == "tls"]
    assert found["state"] == "error"
    assert "SSL_CERT_FILE" in found["what"]
    assert "SSL_CERT_FILE" in found["mend"]
    assert not any("itself failed" in one["what"] for one in result.json["findings"])


def test_address_that_is_none() -> None:
    (found,) = network.recorder("http://[::1")

    assert found.state is State.ERROR


# Engines


class Point:
    """An entry point whose part is broken."""

    name = "broken"

    def load(self) -> object:
        raise ImportError("libwanted.so: cannot open shared object file")


def test_part_that_can_not_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "entry_points", lambda group: [Point()])

    (found,) = machine.engines()

    assert (found.area, found.state) == ("broken", State.ERROR)
    assert "libwanted" in found.what


def test_without_the_extra_for_mpc() -> None:
    code = (
        "import sys\n"
        "for name in ('numpy', 'grpc', 'pandas', 'sqlalchemy', 'flask'): sys.modules[name] = None\n"
        "from rtt_tracer.doctor import checks\n"
        "for one in checks(): print(one.area, one.state, one.what, one.mend)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mpc absent")
    assert "datatoken[mpc]" in done.stdout


@pytest.fixture(scope="module")
def broken_spu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has SPU by name, and a library that does not load."""
    folder = tmp_path_factory.mktemp("spu")
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in ("spu", "jax", "jaxlib", "numpy"):
        (site / f"{name}-1.0.dist-info").mkdir()
        (site / f"{name}-1.0.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
    (site / "spu").mkdir()
    (site / "spu/__init__.py").write_text("raise ImportError('libgomp.so.1: cannot open')\n")
    (site / "spu/libspu.so").write_bytes(b"no library")
    return folder / "bin/python"


def test_spu_that_is_installed_and_does_not_load(broken_spu: Path) -> None:
    engine = SpuEngine(broken_spu)

    assert "does not load" in str(engine.missing())
    assert "libgomp1" in str(engine.broken())


def test_spu_that_does_not_load_is_an_error(
    broken_spu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".engines/spu").mkdir(parents=True)
    (tmp_path / ".engines/spu/bin").symlink_to(broken_spu.parent)
    (tmp_path / ".engines/spu/pyvenv.cfg").symlink_to(broken_spu.parent.parent / "pyvenv.cfg")
    (tmp_path / ".engines/spu/lib").symlink_to(broken_spu.parent.parent / "lib")
    monkeypatch.chdir(tmp_path)

    found = [one for one in checks() if one.area == "mpc" and one.what.startswith("SPU")]

    assert [one.state for one in found] == [State.ERROR]
    assert isinstance(found[0], Finding)


def test_engine_that_is_not_there_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    found = [one for one in checks() if one.area == "mpc"]

    assert [one.state for one in found] == [State.ABSENT, State.ABSENT]


def test_silent_recorder_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        (found,) = network.recorder(f"http://127.0.0.1:{listener.getsockname()[1]}")

    assert found.state is State.ERROR

"""The local chain: started, found, stopped."""

import os
import socket
from pathlib import Path

import pytest

from datatoken.chain.anvil import Anvil, find_anvil
from datatoken.chain.rpc import Rpc
from datatoken.errors import ChainUnreachableError, ExitCode, LocalEnvironmentError


def test_it_runs_on_a_free_port_and_stops() -> None:
    with Anvil.start() as anvil:
        rpc = Rpc(anvil.url)
        assert rpc.chain_id() == 31337
        assert anvil.running
        os.kill(anvil.pid, 0)

    assert not anvil.running
    with pytest.raises(ChainUnreachableError):
        rpc.chain_id()
    anvil.stop()


def test_a_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(LocalEnvironmentError) as refused:
            Anvil.start(port=port)

    assert str(port) in refused.value.hint
    assert refused.value.exit_code is ExitCode.ENVIRONMENT


def test_the_program_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATATOKEN_ANVIL", str(tmp_path / "anvil"))

    with pytest.raises(LocalEnvironmentError):
        find_anvil()


def test_the_named_program_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "anvil"
    program.write_text("#!/bin/sh\necho no chain today\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("DATATOKEN_ANVIL", str(program))

    assert find_anvil() == program
    with pytest.raises(LocalEnvironmentError) as refused:
        Anvil.start()
    assert "no chain today" in refused.value.message


def test_a_killed_chain_comes_back_from_its_file(tmp_path: Path) -> None:
    state = tmp_path / "chain" / "state.json"
    account = "0x" + "11" * 20
    with Anvil.start(state=state) as first:
        first.fund(account, 7)
    with Anvil.start(port=first.port, state=state) as second, Rpc(second.url) as rpc:
        assert second.url == first.url
        assert int(rpc.request("eth_getBalance", [account, "latest"]), 16) == 7 * 10**18

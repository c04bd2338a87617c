"""Transactions survive a crash and a lost answer, and are never sent twice."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datatoken.chain import errors
from datatoken.chain.contracts import Contracts
from datatoken.chain.events import TaskCreated
from datatoken.chain.journal import Journal, State
from datatoken.chain.rpc import Rpc
from datatoken.chain.signer import PUBLIC_ACCOUNTS, Signer
from datatoken.chain.transactions import Sender, TransactionPendingError
from datatoken.errors import (
    BadInputError,
    ChainUnreachableError,
    ExitCode,
    KeystoreError,
    LocalEnvironmentError,
    TransactionError,
    WrongChainError,
)
from datatoken.types import AssetKind
from tests.support.chain import Account, Chain, fresh, wait_until
from tests.support.proxy import Answer, Request, proxy_to

ANVIL_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"

COMMAND = """
import sys
from pathlib import Path
from datatoken.chain.contracts import Contracts
from datatoken.chain.deployment import Deployment
from datatoken.chain.events import TaskCreated
from datatoken.chain.rpc import Rpc
from datatoken.chain.signer import Signer
from datatoken.chain.transactions import Sender

url, deployment, journal, key, description, count = sys.argv[1:]
deployment = Deployment.load(Path(deployment))
rpc = Rpc(url)
with Sender(rpc, Signer.from_key(key), deployment.network_profile(), Path(journal)) as sender:
    market = Contracts.at(rpc, deployment).market
    for _ in range(int(count)):
        receipt = sender.send(market.create_task(description))
        print(receipt.event(TaskCreated).id, flush=True)
"""


@dataclasses.dataclass
class Command:
    """A command that creates tasks, in a process of its own, with a fresh account."""

    chain: Chain
    folder: Path
    signer: Signer
    key: str
    description: str

    @classmethod
    def of(cls, chain: Chain, folder: Path) -> "Command":
        key = "0x" + os.urandom(32).hex()
        signer = Signer.from_key(key)
        chain.anvil.fund(signer.address)
        chain.a.send(chain.contracts.institutions.enrol_user(signer.address))
        return cls(chain, folder, signer, key, fresh())

    def start(self, url: str, count: int = 1) -> subprocess.Popen[str]:
        arguments = (url, self.chain.deployment_path, self.journal, self.key, self.description)
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *map(str, arguments), str(count)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, url: str) -> int:
        process = self.start(url)
        output, problems = process.communicate(timeout=60)
        assert process.returncode == 0, problems
        return int(output)

    @property
    def journal(self) -> Path:
        return self.folder / "command.sqlite"

    def tasks(self) -> list[int]:
        """Return the tasks of this account on the chain."""
        events = _events(self.chain, TaskCreated, owner=self.signer.address)
        return [event.id for event in events]


def _events(chain: Chain, kind: Any, **indexed: str) -> Any:
    from datatoken.chain.events import EventReader

    return EventReader(chain.rpc, chain.deployment).history(kind, **indexed)


@pytest.fixture
def command(chain: Chain, tmp_path: Path) -> Command:
    return Command.of(chain, tmp_path)


class TestLostAnswer:
    """The sender dies between sending and the receipt; the command is repeated."""

    def test_killed_between_send_and_receipt(self, chain: Chain, command: Command) -> None:
        with proxy_to(chain.url) as proxy:
            sent = threading.Event()

            def hold(request: Request) -> Answer | None:
                if sent.is_set() and request["method"] == "eth_getTransactionReceipt":
                    threading.Event().wait(30)
                return None

            def note(request: Request, answer: Answer) -> Answer:
                if request["method"] == "eth_sendRawTransaction":
                    sent.set()
                return answer

            proxy.before, proxy.after = hold, note
            process = command.start(proxy.url)
            assert sent.wait(30)
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=10)

        first = command.run(chain.url)

        assert command.tasks() == [first]

    def test_killed_between_journal_and_send(self, chain: Chain, command: Command) -> None:
        with proxy_to(chain.url) as proxy:
            asked = threading.Event()

            def hold(request: Request) -> Answer | None:
                if request["method"] == "eth_sendRawTransaction":
                    asked.set()
                    threading.Event().wait(30)
                return None

            proxy.before = hold
            process = command.start(proxy.url)
            assert asked.wait(30)
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=10)
        assert command.tasks() == []

        first = command.run(chain.url)

        assert command.tasks() == [first]
        assert len(_journal(command).raws()) == 1

    def test_answer_to_the_send_is_lost(self, chain: Chain) -> None:
        account, journal = _account(chain), chain.folder / f"{fresh()}.sqlite"
        with proxy_to(chain.url) as proxy:
            proxy.after = _drop("eth_sendRawTransaction")
            sender = Sender(Rpc(proxy.url), account.signer, chain.profile, journal)
            intent = chain.contracts.market.create_task(fresh())
            with pytest.raises(ChainUnreachableError):
                sender.send(intent)
            proxy.after = lambda request, answer: answer

            receipt = sender.send(intent)

        tasks = _events(chain, TaskCreated, owner=account.address)
        assert [event.tx_hash for event in tasks] == [receipt.tx_hash]

    def test_a_delivered_answer_is_not_given_again(self, chain: Chain) -> None:
        account = _account(chain)
        intent = chain.contracts.market.create_task(fresh())

        first, second = account.send(intent), account.send(intent)

        assert first.tx_hash != second.tx_hash

    def test_resume_sends_the_same_bytes(self, chain: Chain) -> None:
        account, journal = _account(chain), chain.folder / f"{fresh()}.sqlite"
        intent = chain.contracts.market.create_task(fresh())
        with proxy_to(chain.url) as proxy:
            proxy.before = _refuse("eth_sendRawTransaction", "internal error")
            with (
                Sender(Rpc(proxy.url), account.signer, chain.profile, journal) as sender,
                pytest.raises(TransactionError),
            ):
                sender.send(intent)

        with Sender(chain.rpc, account.signer, chain.profile, journal) as sender:
            (resumed,) = sender.resume()
            again = sender.send(intent)

        assert resumed.tx_hash == again.tx_hash
        assert len(_events(chain, TaskCreated, owner=account.address)) == 1


class TestIdempotencyKey:
    """One key, one transaction, for ever."""

    def test_repeating_a_command_sends_once(self, chain: Chain) -> None:
        account = _account(chain)
        intent = chain.contracts.market.create_task(fresh())

        receipts = [account.send(intent, key="task:1") for _ in range(3)]

        assert len({receipt.tx_hash for receipt in receipts}) == 1
        assert receipts[0] == receipts[2]
        assert len(_events(chain, TaskCreated, owner=account.address)) == 1

    def test_a_key_does_not_stand_for_something_else(self, chain: Chain) -> None:
        account = _account(chain)
        account.send(chain.contracts.market.create_task(fresh()), key="task:1")

        with pytest.raises(BadInputError):
            account.send(chain.contracts.market.create_task(fresh()), key="task:1")

    def test_what_was_refused_can_be_tried_again(self, chain: Chain) -> None:
        account = chain.account()
        intent = chain.contracts.market.create_task(fresh())
        with pytest.raises(errors.NotParticipant):
            account.send(intent, key="task:1")
        chain.a.send(chain.contracts.institutions.enrol_user(account.address))

        receipt = account.send(intent, key="task:1")

        assert receipt.event(TaskCreated).owner == account.address


class TestManySenders:
    """One account, several threads and processes: no nonce is lost or used twice."""

    def test_threads(self, chain: Chain) -> None:
        account = _account(chain)
        found: list[str] = []

        def work() -> None:
            for _ in range(10):
                receipt = account.send(chain.contracts.market.create_task(fresh()))
                found.append(receipt.tx_hash)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(set(found)) == 40
        assert len(_events(chain, TaskCreated, owner=account.address)) == 40

    def test_equal_transactions_of_living_senders_are_not_merged(self, chain: Chain) -> None:
        account = _account(chain)
        intent = chain.contracts.market.create_task(fresh())

        sent = [account.sender.submit(intent) for _ in range(3)]
        receipts = [account.sender.wait(one) for one in sent]

        assert len({receipt.tx_hash for receipt in receipts}) == 3

    def test_processes(self, chain: Chain, command: Command) -> None:
        processes = [command.start(chain.url, count=10) for _ in range(3)]
        outputs = [process.communicate(timeout=120) for process in processes]

        assert [process.returncode for process in processes] == [0, 0, 0], outputs
        printed = sorted(int(line) for output, _ in outputs for line in output.split())
        assert len(set(printed)) == 30
        assert sorted(command.tasks()) == printed

    def test_an_account_used_with_another_journal(self, chain: Chain) -> None:
        account = _account(chain)
        other = Sender(chain.rpc, account.signer, chain.profile, chain.folder / "other.sqlite")
        with proxy_to(chain.url) as proxy:
            mine = Sender(
                Rpc(proxy.url), account.signer, chain.profile, chain.folder / "mine.sqlite"
            )
            raced = threading.Event()

            def race(request: Request) -> Answer | None:
                if request["method"] == "eth_sendRawTransaction" and not raced.is_set():
                    raced.set()
                    other.send(chain.contracts.market.create_task(fresh()))
                return None

            proxy.before = race
            mine.send(chain.contracts.market.create_task(fresh()))

        assert raced.is_set()
        assert len(_events(chain, TaskCreated, owner=account.address)) == 2


class TestLostTransactions:
    """The node forgot one, or another wallet took its nonce."""

    def test_a_later_command_sends_the_lost_one_first(self, chain: Chain) -> None:
        account, journal = _account(chain), chain.folder / f"{fresh()}.sqlite"
        market = chain.contracts.market
        with proxy_to(chain.url) as proxy:
            proxy.before = _refuse("eth_sendRawTransaction", "internal error")
            with (
                Sender(Rpc(proxy.url), account.signer, chain.profile, journal) as sender,
                pytest.raises(TransactionError),
            ):
                sender.send(market.create_task("0x" + "11" * 32))

        with Sender(chain.rpc, account.signer, chain.profile, journal) as sender:
            sender.send(market.create_task("0x" + "22" * 32))

        tasks = _events(chain, TaskCreated, owner=account.address)
        assert [event.description[2:4] for event in tasks] == ["11", "22"]

    @pytest.mark.parametrize("key", [None, "task:1"])
    def test_another_wallet_took_the_nonce(self, chain: Chain, key: str | None) -> None:
        account, journal = _account(chain), chain.folder / f"{fresh()}.sqlite"
        intent = chain.contracts.market.create_task(fresh())
        with proxy_to(chain.url) as proxy:
            proxy.before = _refuse("eth_sendRawTransaction", "internal error")
            with (
                Sender(Rpc(proxy.url), account.signer, chain.profile, journal) as sender,
                pytest.raises(TransactionError),
            ):
                sender.send(intent, key)
        with Sender(chain.rpc, account.signer, chain.profile, chain.folder / "w.sqlite") as wallet:
            wallet.send(chain.contracts.market.create_task(fresh()))

        with Sender(chain.rpc, account.signer, chain.profile, journal) as sender:
            assert sender.resume() == ()
            receipt = sender.send(intent, key)

        tasks = _events(chain, TaskCreated, owner=account.address)
        assert len(tasks) == 2
        assert tasks[-1].tx_hash == receipt.tx_hash

    def test_a_node_that_forgets_gets_the_same_bytes_again(
        self, chain: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("datatoken.chain.transactions.REBROADCAST_SECONDS", 0.05)
        account, sent = _account(chain), []

        def forget_once(request: Request) -> Answer | None:
            if request["method"] != "eth_sendRawTransaction":
                return None
            sent.append(request["params"][0])
            return {"result": "0x" + "00" * 32} if len(sent) == 1 else None

        with proxy_to(chain.url) as proxy:
            proxy.before = forget_once
            sender = Sender(
                Rpc(proxy.url), account.signer, chain.profile, chain.folder / "forgets.sqlite"
            )
            receipt = sender.send(chain.contracts.market.create_task(fresh()))

        assert receipt.event(TaskCreated).owner == account.address
        assert len(sent) >= 2
        assert len(set(sent)) == 1

    @pytest.mark.parametrize("text", ["already known", "nonce too low"])
    def test_a_node_that_has_it_already(self, chain: Chain, text: str) -> None:
        account = _account(chain)

        def deny(request: Request, answer: Answer) -> Answer:
            if request["method"] != "eth_sendRawTransaction":
                return answer
            return {"id": request["id"], "error": {"code": -32000, "message": text}}

        with proxy_to(chain.url) as proxy:
            proxy.after = deny
            sender = Sender(
                Rpc(proxy.url), account.signer, chain.profile, chain.folder / "known.sqlite"
            )
            sender.send(chain.contracts.market.create_task(fresh()))

        assert len(_events(chain, TaskCreated, owner=account.address)) == 1

    def test_a_receipt_counts_after_its_confirmations(self, chain: Chain) -> None:
        account = _account(chain)
        careful = chain.profile.model_copy(update={"confirmations": 2})
        sender = Sender(chain.rpc, account.signer, careful, chain.folder / "careful.sqlite")

        receipt = sender.send(chain.contracts.market.create_task(fresh()))

        assert chain.rpc.block_number() >= receipt.block_number + 2


class TestReverts:
    """A status is checked, and a revert has its reason."""

    def test_mined_and_reverted(self, chain: Chain) -> None:
        data = chain.mint(chain.users[0])
        parent = chain.mint(chain.b, AssetKind.ALGORITHM, [data])
        intent = chain.contracts.tokens.grant(data, parent)
        stranger = _account(chain)
        with proxy_to(chain.url) as proxy:
            proxy.before = _answer("eth_estimateGas", hex(200_000))
            sender = Sender(
                Rpc(proxy.url), stranger.signer, chain.profile, chain.folder / "reverts.sqlite"
            )

            with pytest.raises(errors.NotTokenOwner):
                sender.send(intent)

        assert not chain.reader().grant(parent, data).active

    def test_a_node_that_leaves_the_reason_out_of_an_estimate(self, chain: Chain) -> None:
        stranger = chain.account()
        with proxy_to(chain.url) as proxy:
            proxy.before = _refuse("eth_estimateGas", "execution reverted")
            sender = Sender(
                Rpc(proxy.url), stranger.signer, chain.profile, chain.folder / "why.sqlite"
            )

            with pytest.raises(errors.NotParticipant):
                sender.send(chain.contracts.market.create_task(fresh()))

    def test_an_account_without_funds(self, chain: Chain) -> None:
        poor = Signer.random()
        chain.a.send(chain.contracts.institutions.enrol_user(poor.address))
        sender = Sender(chain.rpc, poor, chain.profile, chain.folder / "poor.sqlite")
        intent = chain.contracts.market.create_task(fresh())

        with pytest.raises(TransactionError) as refused:
            sender.send(intent)
        assert refused.value.exit_code is ExitCode.TRANSACTION
        chain.anvil.fund(poor.address)

        assert sender.send(intent).event(TaskCreated).owner == poor.address


class TestOutOfReach:
    """Refused means nothing was started."""

    def test_the_wrong_chain(self, chain: Chain) -> None:
        other = chain.profile.model_copy(update={"chain_id": 4})
        sender = Sender(chain.rpc, chain.a.signer, other, chain.folder / "wrong.sqlite")

        with pytest.raises(WrongChainError) as refused:
            sender.send(chain.contracts.market.create_task(fresh()))

        assert "31337" in refused.value.message

    def test_an_unreachable_chain(self, chain: Chain) -> None:
        sender = Sender(
            Rpc("http://127.0.0.1:1"), chain.a.signer, chain.profile, chain.folder / "gone.sqlite"
        )

        with pytest.raises(ChainUnreachableError) as refused:
            sender.send(chain.contracts.market.create_task(fresh()))

        assert refused.value.exit_code is ExitCode.CHAIN_UNREACHABLE

    def test_anvils_keys_on_another_chain(self, chain: Chain) -> None:
        signer = Signer.from_key(ANVIL_KEY)
        assert signer.address in PUBLIC_ACCOUNTS
        real = chain.profile.model_copy(update={"chain_id": 210425, "stand_in": False})
        calls = chain.rpc.calls

        with pytest.raises(KeystoreError) as refused:
            Sender(chain.rpc, signer, real, chain.folder / "public.sqlite").send(
                chain.contracts.market.create_task(fresh())
            )

        assert "published" in refused.value.message
        assert chain.rpc.calls == calls

    def test_not_mined_in_time(self, new_chain: Callable[..., Chain]) -> None:
        own = new_chain()
        hasty = own.profile.model_copy(update={"receipt_timeout": 0.2})
        sender = Sender(own.rpc, own.a.signer, hasty, own.folder / "hasty.sqlite")
        own.rpc.request("evm_setIntervalMining", [0])
        intent = own.contracts.market.create_task(fresh())

        with pytest.raises(TransactionPendingError) as pending:
            sender.send(intent)
        own.rpc.request("evm_mine")

        assert "not sent twice" in pending.value.hint
        assert sender.send(intent).event(TaskCreated).id == 1

    def test_a_journal_in_a_folder_that_is_not_writable(self, chain: Chain, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")

        with pytest.raises(LocalEnvironmentError):
            Sender(chain.rpc, chain.a.signer, chain.profile, tmp_path / "file" / "journal")


class TestRestartedChain:
    """The node crashes; its state file is a second old."""

    def test_what_the_node_forgot_is_sent_again(
        self, new_chain: Callable[..., Chain], tmp_path: Path
    ) -> None:
        from datatoken.chain.anvil import Anvil

        state = tmp_path / "state.json"
        own = new_chain(state=state)
        intent = own.contracts.market.create_task(fresh())
        wait_until(lambda: state.exists() and _block(state) >= own.rpc.block_number() - 1)
        own.anvil.kill()
        saved = state.read_bytes()
        with Anvil.start(port=own.anvil.port, state=state):
            first = own.a.send(intent, key="task:1")
        state.write_bytes(saved)  # as if the crash had come before the file was written

        with Anvil.start(port=own.anvil.port, state=state):
            again = own.a.send(intent, key="task:1")

        assert again.tx_hash == first.tx_hash

    def test_a_fresh_chain_with_the_same_id_starts_over(self, tmp_path: Path) -> None:
        from datatoken.chain.anvil import Anvil
        from datatoken.chain.deployment import deploy
        from datatoken.chain.profiles import load_profile

        admin, profile = Signer.random(), load_profile("anvil")
        addresses = []
        for timestamp in (1_700_000_000, 1_700_000_001):
            with (
                Anvil.start(extra=["--timestamp", str(timestamp)]) as anvil,
                Rpc(anvil.url) as rpc,
            ):
                anvil.fund(admin.address)
                made = deploy(admin, rpc, profile, journal=tmp_path / "journal.sqlite")
                made.verify(rpc)
                assert Contracts.at(rpc, made).institutions.administrator() == admin.address
                addresses.append(made.tokens)

        assert addresses[0] == addresses[1]  # same account, same nonces


def _block(state: Path) -> int:
    import json

    try:
        number = json.loads(state.read_text())["block"]["number"]
    except (ValueError, KeyError):
        return -1
    return int(number, 16) if isinstance(number, str) else int(number)


def _account(chain: Chain) -> Account:
    return chain.account(enrol=True)


def _answer(method: str, result: object) -> Callable[[Request], Answer | None]:
    return lambda request: {"result": result} if request["method"] == method else None


def _refuse(method: str, text: str) -> Callable[[Request], Answer | None]:
    error = {"error": {"code": -32000, "message": text}}
    return lambda request: error if request["method"] == method else None


def _drop(method: str) -> Callable[[Request, Answer], Answer | None]:
    return lambda request, answer: None if request["method"] == method else answer


class _journal:
    """Looks into the journal of a command."""

    def __init__(self, command: Command) -> None:
        self._path, self._account = command.journal, command.signer.address

    def raws(self) -> list[bytes]:
        import sqlite3

        with sqlite3.connect(self._path) as database:
            rows = database.execute("SELECT raw, state FROM transactions").fetchall()
        assert {state for _, state in rows} == {State.MINED.value}
        assert Journal  # the table is this class's
        return [raw for raw, _ in rows]

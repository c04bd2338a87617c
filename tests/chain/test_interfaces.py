"""The typed side follows the compiled contracts: functions, errors, events."""

import dataclasses
import inspect
import json
import re

import pytest

from datatoken.chain import contracts as typed
from datatoken.chain import errors, event_types
from datatoken.chain.artifacts import CONTRACT_NAMES, Artifact, artifacts_folder, load_artifact
from datatoken.chain.error_texts import TEXTS
from datatoken.chain.errors import ContractError, contract_errors, decode_error, from_rpc_error
from datatoken.chain.event_codec import decode_log, snake, topic_of
from datatoken.chain.rpc import RpcError
from datatoken.errors import BadInputError, ChainUnreachableError, ExitCode, TransactionError

LEFT_OUT = {
    "DataTokenRegistry": {"eip712Domain", "institutions", "summary"},
    "InstitutionRegistry": {"pendingOwner", "renounceOwnership"},
    "OperationRegistry": {"pendingOwner", "renounceOwnership"},
    "TaskMarket": {"institutions", "tokens"},
    "AuthorizationView": {"institutions", "log", "market", "operations", "tokens"},
}


@pytest.mark.parametrize("name", CONTRACT_NAMES)
def test_one_typed_class_for_each_contract(name: str) -> None:
    """Acceptance: 92, 93."""
    kind = getattr(typed, name)
    source = "".join(
        inspect.getsource(base) for base in kind.__mro__ if base.__module__.startswith("datatoken")
    )

    called = set(re.findall(r'_(?:read|write)\(\s*"(\w+)"', source))

    functions = set(load_artifact(name).functions) - LEFT_OUT.get(name, set())
    assert functions <= called
    assert kind.artifact_name == name


def test_the_contracts_of_the_first_milestone_are_there() -> None:
    """Acceptance: 92."""
    for function, contract in {
        "addInstitution": "InstitutionRegistry",
        "mint": "DataTokenRegistry",
        "grant": "DataTokenRegistry",
        "register": "OperationRegistry",
        "createTask": "TaskMarket",
        "postJob": "TaskMarket",
    }.items():
        assert function in load_artifact(contract).functions


def test_every_custom_error_has_a_sentence() -> None:
    assert set(contract_errors()) == set(TEXTS)
    for name, kind in contract_errors().items():
        assert issubclass(kind, ContractError)
        assert getattr(errors, name) is kind
        assert kind.exit_code is ExitCode.TRANSACTION
        assert kind.code == snake(name).upper()


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_custom_error_decodes(name: str) -> None:
    entry = next(
        entry
        for contract in CONTRACT_NAMES
        for entry in load_artifact(contract).of_kind("error")
        if entry.name == name
    )
    samples = {"address": "0x" + "11" * 20, "bytes32": b"\x22" * 32, "bytes28": b"\x33" * 28}
    values = [samples.get(kind, "text" if kind == "string" else 7) for kind in entry.input_types]

    error = decode_error(entry.selector + entry.encode(*values))

    assert type(error).__name__ == name
    assert set(error.arguments) == {parameter["name"] for parameter in entry.inputs}
    assert "{" not in error.diagnostics()
    assert error.message.endswith(".")


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "without a known reason"),
        (b"\x01\x02\x03\x04", "0x01020304"),
        (bytes.fromhex("4e487b71") + bytes(31) + b"\x11", "0x11"),
        (bytes.fromhex("08c379a0") + b"\x00", "without a known reason"),
    ],
)
def test_other_reverts_have_a_sentence_too(data: bytes, part: str) -> None:
    assert part in decode_error(data).message


def test_error_replies_become_transaction_errors() -> None:
    funds = RpcError("eth_sendRawTransaction", -32000, "Insufficient funds for gas", None)
    revert = RpcError("eth_estimateGas", 3, "execution reverted", None)
    other = RpcError("eth_sendRawTransaction", -32000, "something", None)

    assert "cannot pay" in from_rpc_error(funds).message
    assert isinstance(from_rpc_error(revert), ContractError)
    assert type(from_rpc_error(other)) is TransactionError
    with pytest.raises(AttributeError):
        _ = errors.NoSuchError  # type: ignore[attr-defined]


def test_every_event_has_a_class_with_the_contracts_fields() -> None:
    for name in CONTRACT_NAMES:
        for entry in load_artifact(name).of_kind("event"):
            if entry.name == "EIP712DomainChanged":
                continue
            kind = event_types.EVENTS[entry.name]
            own = [f.name for f in dataclasses.fields(kind)][6:]
            assert own == [snake(parameter["name"]) for parameter in entry.inputs]
            assert topic_of(kind) == "0x" + entry.topic.hex()


@pytest.mark.parametrize("change", [{"data": "0x12"}, {"data": 7}, {"logIndex": None}])
def test_malformed_logs_are_refused(change: dict[str, object]) -> None:
    log = {
        "topics": [topic_of(event_types.OperationRetired), "0x" + "11" * 32],
        "data": "0x",
        "address": "0x" + "22" * 20,
        "blockNumber": "0x1",
        "blockHash": "0x" + "33" * 32,
        "transactionHash": "0x" + "44" * 32,
        "logIndex": "0x0",
    }
    event = decode_log(log)
    assert isinstance(event, event_types.OperationRetired)
    assert decode_log({**log, "topics": ["0x" + "99" * 32]}) is None
    if change == {"data": "0x12"}:
        change = {"topics": log["topics"][:1]}

    with pytest.raises(ChainUnreachableError):
        decode_log({**log, **change}) if change != {"data": 7} else decode_log(
            {**log, "topics": [topic_of(event_types.TokenMinted)], "data": 7}
        )


def test_arguments_that_do_not_fit() -> None:
    mint = load_artifact("DataTokenRegistry").functions["grant"]

    with pytest.raises(BadInputError):
        mint.encode(b"\x11" * 32, b"\x11" * 32, -1, 0)
    with pytest.raises(BadInputError):
        mint.encode(b"\x11" * 32)


def test_artifacts_are_what_the_build_wrote() -> None:
    content = json.loads((artifacts_folder() / "RoundLog.json").read_text())

    artifact = Artifact(content)

    assert artifact.creation().data == artifact.bytecode
    assert set(content) == {"contractName", "abi", "bytecode", "deployedBytecode"}

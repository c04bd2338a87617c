"""Compiled contracts: interface and creation code, from the wheel or the checkout."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.crypto import keccak

from datatoken.chain.intents import Transaction
from datatoken.errors import BadInputError, ChainUnreachableError, LocalEnvironmentError

CONTRACT_NAMES = (
    "InstitutionRegistry",
    "OperationRegistry",
    "DataTokenRegistry",
    "TaskMarket",
    "RoundLog",
    "AuthorizationView",
)


def _type_of(parameter: Mapping[str, Any]) -> str:
    """Return the canonical type, tuples written out."""
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(_type_of(part) for part in parameter["components"])
    return f"({inner}){kind.removeprefix('tuple')}"


@dataclass(frozen=True)
class AbiEntry:
    """One function, event or error of a contract's interface."""

    name: str
    kind: str
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[Mapping[str, Any], ...]

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "AbiEntry":
        """Read one entry of an ABI."""
        return cls(
            name=str(entry.get("name", "")),
            kind=str(entry["type"]),
            inputs=tuple(entry.get("inputs", ())),
            outputs=tuple(entry.get("outputs", ())),
        )

    @cached_property
    def input_types(self) -> tuple[str, ...]:
        """Canonical types of the inputs."""
        return tuple(_type_of(parameter) for parameter in self.inputs)

    @cached_property
    def output_types(self) -> tuple[str, ...]:
        """Canonical types of the outputs."""
        return tuple(_type_of(parameter) for parameter in self.outputs)

    @cached_property
    def signature(self) -> str:
        """Canonical signature."""
        return f"{self.name}({','.join(self.input_types)})"

    @cached_property
    def topic(self) -> bytes:
        """keccak256 of the signature: an event's first topic."""
        return keccak(text=self.signature)

    @property
    def selector(self) -> bytes:
        """First four bytes of the topic: a function's or an error's selector."""
        return self.topic[:4]

    def encode(self, *arguments: object) -> bytes:
        """Return the arguments in ABI form, without the selector.

        Raises
        ------
        BadInputError
            When an argument does not fit its type.
        """
        try:
            return encode(self.input_types, arguments)
        except (EncodingError, ValueError, TypeError, OverflowError) as error:
            raise BadInputError(f"{self.name or 'constructor'} cannot take {error}.") from error

    def decode_output(self, answer: bytes) -> tuple[Any, ...]:
        """Return the decoded answer of a call.

        Raises
        ------
        ChainUnreachableError
            When the answer is not of this function.
        """
        try:
            return decode(self.output_types, answer)
        except DecodingError as error:
            raise ChainUnreachableError(
                f"The chain's answer to {self.name} is malformed.",
                "Does the deployment file name contracts of this chain?",
            ) from error


class Artifact:
    """One compiled contract.

    Parameters
    ----------
    content : Mapping[str, Any]
        {contractName, abi, bytecode, deployedBytecode}.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.name = str(content["contractName"])
        self.bytecode = bytes.fromhex(str(content["bytecode"]).removeprefix("0x"))
        self.abi: list[dict[str, Any]] = list(content["abi"])
        self.entries = tuple(AbiEntry.from_json(entry) for entry in content["abi"])

    def of_kind(self, kind: str) -> tuple[AbiEntry, ...]:
        """Return all entries of a kind: `function`, `event`, `error`."""
        return tuple(entry for entry in self.entries if entry.kind == kind)

    @cached_property
    def functions(self) -> Mapping[str, AbiEntry]:
        """Functions by name (no contract overloads one)."""
        return {entry.name: entry for entry in self.of_kind("function")}

    def creation(self, *arguments: object) -> Transaction:
        """Return the transaction that creates the contract."""
        constructors = self.of_kind("constructor")
        tail = constructors[0].encode(*arguments) if constructors else b""
        return Transaction(to=None, data=self.bytecode + tail, label=f"create {self.name}")


def artifacts_folder() -> Path:
    """Return the folder of the compiled contracts.

    Raises
    ------
    LocalEnvironmentError
        When they are neither in the installed package nor in a checkout.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_contracts", package.parent / "contracts" / "artifacts"):
        if (folder / "DataTokenRegistry.json").is_file():
            return folder
    raise LocalEnvironmentError(
        "The compiled contracts are missing.",
        "Install the datatoken wheel, or run `npm run build` in contracts/.",
    )


@lru_cache(maxsize=16)
def load_artifact(name: str) -> Artifact:
    """Return one compiled contract by name.

    Raises
    ------
    LocalEnvironmentError
        When it is missing or malformed.
    """
    path = artifacts_folder() / f"{name}.json"
    try:
        return Artifact(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LocalEnvironmentError(f"The compiled contract {path} cannot be read.") from error

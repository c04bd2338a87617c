"""Custom errors of the contracts as typed exceptions with a sentence and a hint.

Every error in the contracts' interfaces is a class here, made from its ABI entry:
`from datatoken.chain.errors import MissingGrant`.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from datatoken.chain.artifacts import CONTRACT_NAMES, AbiEntry, load_artifact
from datatoken.chain.error_texts import TEXTS
from datatoken.chain.replies import RpcError, said
from datatoken.errors import TransactionError

_ERROR_STRING = bytes.fromhex("08c379a0")
_PANIC = bytes.fromhex("4e487b71")


class ContractError(TransactionError):
    """A contract reverted; the subclass names the custom error.

    Parameters
    ----------
    arguments : Mapping[str, object]
        Arguments of the error by name; bytes as hex with 0x.
    message, hint : str
        What happened, and what the user can do.
    """

    name: ClassVar[str] = "revert"

    def __init__(self, arguments: Mapping[str, object], message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.arguments = dict(arguments)


def _plain(value: object) -> object:
    if isinstance(value, str):
        return said(value)
    return "0x" + value.hex() if isinstance(value, bytes) else value


def _code(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


@lru_cache(maxsize=1)
def _by_selector() -> dict[bytes, tuple[AbiEntry, type[ContractError]]]:
    """Return every custom error of the contracts with its class."""
    found: dict[bytes, tuple[AbiEntry, type[ContractError]]] = {}
    for contract in CONTRACT_NAMES:
        for entry in load_artifact(contract).of_kind("error"):
            if entry.selector not in found:
                fields: dict[str, Any] = {
                    "name": entry.name,
                    "code": _code(entry.name),
                    "__module__": __name__,
                    "__doc__": f"The contract reverted with `{entry.signature}`.",
                }
                found[entry.selector] = (entry, type(entry.name, (ContractError,), fields))
    return found


def contract_errors() -> dict[str, type[ContractError]]:
    """Return the classes of all custom errors by name."""
    return {entry.name: kind for entry, kind in _by_selector().values()}


def __getattr__(name: str) -> type[ContractError]:
    if not name.startswith("_"):
        kind = contract_errors().get(name)
        if kind is not None:
            return kind
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def decode_error(data: bytes) -> ContractError:
    """Return the exception for revert data; unknown data give a plain `ContractError`."""
    known = _by_selector().get(data[:4])
    try:
        if known is not None:
            entry, kind = known
            values = decode(entry.input_types, data[4:])
            names = [str(parameter["name"]) for parameter in entry.inputs]
            arguments = dict(zip(names, map(_plain, values), strict=True))
            message, hint = TEXTS.get(entry.name, (f"The contract refused: {entry.name}.", ""))
            return kind(arguments, message.format(**arguments), hint.format(**arguments))
        if data[:4] == _ERROR_STRING:
            return ContractError({}, f"The contract refused: {said(_text(data[4:]))}.")
        if data[:4] == _PANIC:
            number = decode(["uint256"], data[4:])[0]
            return ContractError({}, f"The contract failed with panic code {number:#x}.")
    except (DecodingError, LookupError, ValueError, OverflowError):
        pass
    shown = data.hex()[:80]
    return ContractError(
        {},
        f"The contract refused without a known reason (0x{shown}).",
        "Does the deployment file name the contracts of this version?",
    )


def _text(data: bytes) -> str:
    return str(decode(["string"], data)[0])


def from_rpc_error(error: RpcError) -> TransactionError:
    """Return the typed exception behind an endpoint's error reply."""
    if error.data is not None and len(error.data) >= 10:
        return decode_error(bytes.fromhex(error.data[2:]))
    if error.reverted:
        return ContractError({}, f"The contract refused: {error.text}.")
    if "insufficient funds" in error.text.lower():
        return TransactionError(
            "The account cannot pay for the transaction.", "Send it some of the chain's coins."
        )
    return TransactionError(f"The node did not take the transaction: {error.text}.")

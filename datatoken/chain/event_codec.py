"""Decoding of events with eth_abi (web3 takes thirty times as long)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError

from datatoken.chain.abi import word32
from datatoken.chain.artifacts import CONTRACT_NAMES, AbiEntry, load_artifact
from datatoken.chain.event_types import EVENTS, Event
from datatoken.errors import BadInputError, ChainUnreachableError

_MILLISECONDS_ABOVE = 10**11


def snake(name: str) -> str:
    """Return a contract's camelCase name in snake case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@dataclass(frozen=True)
class _Decoder:
    kind: type[Event]
    indexed: tuple[tuple[str, str], ...]
    data: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, entry: AbiEntry, kind: type[Event]) -> "_Decoder":
        fields = [
            (snake(str(parameter["name"])), type_, bool(parameter["indexed"]))
            for parameter, type_ in zip(entry.inputs, entry.input_types, strict=True)
        ]
        return cls(
            kind,
            tuple((name, type_) for name, type_, indexed in fields if indexed),
            tuple((name, type_) for name, type_, indexed in fields if not indexed),
        )


@lru_cache(maxsize=1)
def _decoders() -> dict[str, _Decoder]:
    found: dict[str, _Decoder] = {}
    for contract in CONTRACT_NAMES:
        for entry in load_artifact(contract).of_kind("event"):
            kind = EVENTS.get(entry.name)
            if kind is not None:
                found["0x" + entry.topic.hex()] = _Decoder.of(entry, kind)
    return found


def topic_of(kind: type[Event]) -> str:
    """Return the first topic of an event."""
    return next(topic for topic, decoder in _decoders().items() if decoder.kind is kind)


def encode_topic(kind: type[Event], name: str, value: str | int) -> tuple[int, str]:
    """Return place and word of an indexed field's value in a log filter.

    Raises
    ------
    BadInputError
        When the event has no such indexed field, or the value does not fit it.
    """
    indexed = _decoders()[topic_of(kind)].indexed
    for index, (field, type_) in enumerate(indexed, start=1):
        if field == name:
            content = word32(str(value)) if type_ == "bytes32" else value
            try:
                return index, "0x" + encode([type_], [content]).hex()
            except (EncodingError, TypeError) as error:
                raise BadInputError(f"{value!r} does not fit {kind.__name__}.{name}.") from error
    raise BadInputError(f"{kind.__name__} has no indexed field {name!r}.")


def _plain(value: Any) -> Any:
    return "0x" + value.hex() if isinstance(value, bytes) else value


def decode_log(log: Mapping[str, Any]) -> Event | None:
    """Decode one log of a node's answer; None for an event that is not ours.

    Raises
    ------
    ChainUnreachableError
        When the log is malformed.
    """
    try:
        decoder = _decoders().get(log["topics"][0] if log["topics"] else "")
        if decoder is None:
            return None
        values: dict[str, Any] = {}
        for (name, type_), topic in zip(decoder.indexed, log["topics"][1:], strict=True):
            values[name] = _plain(decode([type_], bytes.fromhex(topic[2:]))[0])
        types = [type_ for _, type_ in decoder.data]
        answer = decode(types, bytes.fromhex(log["data"][2:])) if types else ()
        for (name, _), value in zip(decoder.data, answer, strict=True):
            values[name] = _plain(value)
        return decoder.kind(
            contract=str(log["address"]).lower(),
            block_number=int(log["blockNumber"], 16),
            block_hash=str(log["blockHash"]),
            tx_hash=str(log["transactionHash"]),
            log_index=int(log["logIndex"], 16),
            time=_time(log.get("blockTimestamp")),
            **values,
        )
    except (DecodingError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ChainUnreachableError("The chain answered with a malformed event.") from error


def _time(value: object) -> int | None:
    if value is None:
        return None
    time = int(value, 16) if isinstance(value, str) else int(str(value))
    return time // 1000 if time > _MILLISECONDS_ABOVE else time

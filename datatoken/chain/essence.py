"""The part of a node's answer that counts: nodes differ in fields that nobody reads."""

import json
from typing import Any

_PLACE = ("blockNumber", "blockHash", "transactionHash")
FIELDS: dict[str, tuple[str, ...]] = {
    "eth_getLogs": (*_PLACE, "address", "topics", "data", "logIndex", "removed"),
    "eth_getTransactionReceipt": (*_PLACE, "status", "gasUsed", "contractAddress", "logs"),
    "eth_getBlockByNumber": ("number", "hash", "timestamp", "baseFeePerGas"),
    "eth_getCode": (),
}
"""Reads that a quorum has to answer alike, and the fields of their answers that are kept."""


def essence(method: str, value: Any) -> str:
    """Return the part of an answer that counts as JSON in one spelling."""
    return json.dumps(_selected(method, value), sort_keys=True)


def _selected(method: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_selected(method, item) for item in value]
    if isinstance(value, dict):
        chosen = {name: value[name] for name in FIELDS.get(method, value) if name in value}
        if isinstance(chosen.get("logs"), list):
            chosen["logs"] = _selected("eth_getLogs", chosen["logs"])
        return {name: _plain(item) for name, item in chosen.items()}
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.lower() if isinstance(value, str) else value

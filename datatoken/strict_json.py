"""JSON from strangers: UTF-8 only, of bounded nesting.

Python's parser recurses on the C stack, and `py_ecc`, which eth_account imports, raises the
recursion limit to 100,000: deeply nested JSON then ends the process, with no exception to
catch. So the nesting is looked at before anything is parsed.
"""

import json
from collections.abc import Callable
from typing import Any

MAX_NESTING = 32
_FEW_VALUES = 50_000
_BYTES_EACH = 16


def loads(
    content: bytes,
    *,
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
    constant: Callable[[str], Any] | None = None,
) -> Any:
    """Parse JSON bytes.

    Parameters
    ----------
    content : bytes
        In UTF-8: `json.loads` would take UTF-16 too, where a text can hide brackets.
    pairs, constant : callable, optional
        `object_pairs_hook` and `parse_constant` of `json.loads`.

    Raises
    ------
    ValueError
        When it is not JSON, or nested deeper than `MAX_NESTING` levels.
    """
    text = content.decode("utf-8")
    if is_deep(content):
        raise ValueError(f"it is nested deeper than {MAX_NESTING} levels")
    return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)


def is_deep(content: bytes) -> bool:
    """Tell whether brackets outside texts are nested deeper than `MAX_NESTING` levels."""
    if content.count(b"[") + content.count(b"{") <= MAX_NESTING:
        return False
    depth = 0
    in_text = escaped = False
    for byte in content:
        if in_text:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_text = False
        elif byte == 0x22:
            in_text = True
        elif byte in (0x7B, 0x5B):
            depth += 1
            if depth > MAX_NESTING:
                return True
        elif byte in (0x7D, 0x5D):
            depth -= 1
    return False


def is_crowded(content: bytes) -> bool:
    """Tell whether JSON would need far more memory than its length lets expect.

    A value is a hundred bytes in Python and two in JSON (``{},``). Commas and opening brackets
    are counted, those inside texts too.
    """
    most = _FEW_VALUES + len(content) // _BYTES_EACH
    return sum(map(content.count, (b",", b"[", b"{"))) > most

"""JSON from strangers. Each attack runs in a process of its own: it ended the process."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datatoken import strict_json
from datatoken.ddo import OperationDocument, ParameterSpec
from datatoken.ddo.canonical import canonical_bytes, parse_document, parse_json
from datatoken.errors import BadInputError
from tests.authorization.simulator import EDGECOMP

PROGRAM = """
import sys
import datatoken.authorization  # its dependencies raise the recursion limit
from datatoken.ddo.proof import parse_ddo
from datatoken.errors import BadInputError
try:
    parse_ddo(sys.stdin.buffer.read())
except BadInputError as error:
    print(error.message)
"""
DEEP = "[" * 120_000
ATTACKS = {
    "nested": DEEP.encode(),
    "in UTF-16": DEEP.encode("utf-16-le"),
    # The two bytes of the sign are 00 22: read as bytes, it closes the text.
    "hidden behind a text in UTF-16": ('["\u2200",' + DEEP).encode("utf-16-le"),
    "in UTF-16 with a mark": DEEP.encode("utf-16"),
    "in UTF-32": DEEP[:60_000].encode("utf-32-be"),
    "behind an open text": b'["' + b"\\" * 3 + b'",' + DEEP.encode(),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nesting_that_ends_the_process(attack: str) -> None:
    """A DDO that anybody may mint must not end the gates that read it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=ATTACKS[attack], capture_output=True
    )

    assert done.returncode == 0
    assert done.stdout.startswith(b"The DDO ")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_one_encoding_only(encoding: str) -> None:
    with pytest.raises(BadInputError):
        parse_json('{"a":1}'.encode(encoding), "document", 100)


@given(st.recursive(st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=40))
def test_what_is_not_deep_is_read(value: object) -> None:
    content = canonical_bytes(value)

    assert strict_json.loads(content) == value


@pytest.mark.parametrize(("levels", "deep"), [(32, False), (33, True)])
@pytest.mark.parametrize("text", ["", '"[[\\"[[",'])
def test_depth_is_counted_outside_texts(levels: int, deep: bool, text: str) -> None:
    content = ("[" * levels + text * 9 + '"x"' + "]" * levels).encode()

    assert strict_json.is_deep(content) is deep


@pytest.mark.parametrize("digits", ["9" * 400, "9" * 5000, "1e999", "-1e999", "NaN"])
def test_number_beyond_any_float_in_a_document(digits: str) -> None:
    """One sentence, whatever an author writes as a default."""
    made = EDGECOMP.model_copy(update={"parameters": {"x": ParameterSpec(default=7, minimum=0)}})
    content = canonical_bytes(made).replace(b'"default":7', b'"default":' + digits.encode())

    with pytest.raises(BadInputError):
        parse_document(OperationDocument, content, "operation document", 10**6)


def test_value_without_canonical_json() -> None:
    for value in (10**5000, 2**53, float("nan"), "\ud800", b"x"):
        with pytest.raises(BadInputError):
            canonical_bytes({"x": value})


@pytest.mark.parametrize("name", ["", "1x", "lеarning-rate", "lr ", "l\u200br", "x" * 65, "lr\n"])
def test_parameter_name_that_looks_like_another(name: str) -> None:
    """A Cyrillic letter in a name would escape the owner's terms on the Latin one."""
    content = canonical_bytes(EDGECOMP).replace(b'"local-epochs"', canonical_bytes(name))

    with pytest.raises(BadInputError):
        parse_document(OperationDocument, content, "operation document", 10**6)

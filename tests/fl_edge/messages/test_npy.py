"""Strict npy: what numpy writes is read, what numpy would only tolerate is not."""

import io

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fl_edge.messages import MalformedMessageError
from fl_edge.messages.npy import read_header
from tests.fl_edge.messages.makers import read

DTYPES = st.sampled_from(["<f4", "<f8", "<f2", ">f4", "|u1", "<i8", ">i2", "|b1", "<c8"])


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def holds(array: Array) -> RecordDict:
    return RecordDict({"a": ArrayRecord({"x": array})})


@given(
    dtype=DTYPES,
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    order=st.sampled_from("CF"),
)
def test_what_numpy_writes_is_read(dtype: str, shape: tuple[int, ...], order: str) -> None:
    data = saved(np.zeros(shape, dtype, order=order))
    header = read_header(memoryview(data))
    assert (header.dtype, header.shape) == (np.dtype(dtype), shape)
    assert header.offset + header.nbytes == len(data)


def test_bytes_behind_an_array() -> None:
    """Threat: bytes behind an npy array. Acceptance: 80."""
    array = np.ones((2, 2))
    data = saved(array) + b"patient 4711"
    assert np.array_equal(np.load(io.BytesIO(data)), array), "numpy refuses it by itself"
    with pytest.raises(MalformedMessageError, match="behind"):
        read(holds(Array("float64", (2, 2), "numpy.ndarray", data)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"   ", b" # "),
        (b"'shape': (2, 2), }", b"'shape':  (2,2), }"),
        (b"{'descr'", b"{'x': 1, 'descr'"),
        (b"'<f8'", b"'|O8'"),
        (b"'<f8'", b"'|V8'"),
        (b"(2, 2)", b"(2,-2)"),
        (b"\x93NUMPY\x01", b"\x93NUMPY\x03"),
        (b"\x93NUMPY", b"\x93numpy"),
    ],
)
def test_a_header_that_hides_something(old: bytes, new: bytes) -> None:
    """Threat: comments and other spellings in an npy header. Acceptance: 80."""
    data = saved(np.ones((2, 2)))
    assert old in data
    changed = data.replace(old, new, 1)
    with pytest.raises(MalformedMessageError):
        read_header(memoryview(changed))


def test_padding_that_carries_data() -> None:
    """The number of blanks is numpy's, not the app's choice."""
    data = saved(np.ones((2, 2)))
    length = int.from_bytes(data[8:10], "little")
    text = data[10 : 10 + length]
    longer = text[:-1] + b" " * 64 * 20 + b"\n"
    changed = data[:8] + len(longer).to_bytes(2, "little") + longer + data[10 + length :]
    assert np.load(io.BytesIO(changed)).shape == (2, 2)
    with pytest.raises(MalformedMessageError, match="hides"):
        read_header(memoryview(changed))


@pytest.mark.parametrize(("dtype", "shape"), [("float32", (2, 2)), ("float64", (4,))])
def test_declared_dtype_or_shape_differs(dtype: str, shape: tuple[int, ...]) -> None:
    data = saved(np.ones((2, 2)))
    with pytest.raises(MalformedMessageError, match="declared"):
        read(holds(Array(dtype, shape, "numpy.ndarray", data)))


def test_another_serialisation() -> None:
    with pytest.raises(MalformedMessageError, match="NumPy"):
        read(holds(Array("float64", (1,), "pickle", b"cos\nsystem\n")))


def test_big_endian_is_read_in_a_request_and_refused_in_a_reply() -> None:
    content = RecordDict({"a": ArrayRecord([np.ones(3, ">f4")])})
    assert read(content, strict=False).arrays[0].shapes == (("0", "<f4", (3,)),)
    with pytest.raises(MalformedMessageError, match="endian"):
        read(content)

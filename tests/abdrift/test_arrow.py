"""Frames written without Arrow's library are those that are written with it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abdrift import frames
from abdrift.arrow import frames as plain
from abdrift.signals.schema import Column, Type

if TYPE_CHECKING:
    from abdrift.signals.schema import Signal

PART = ("kubernetes/edge", 7, 3)
VALUES: dict[Type, st.SearchStrategy[Any]] = {
    Type.TEXT: st.sampled_from(["", "a", "ä", "web-1", "x" * 300]) | st.text(max_size=5),
    Type.UTF8: st.text(max_size=20),
    Type.BINARY: st.binary(max_size=20),
    Type.INT32: st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(0, 300),
    Type.INT64: st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(1_795_000_000_000, 1_795_000_070_000),
    Type.FLOAT64: st.floats(allow_nan=False),
    Type.BOOL: st.booleans(),
}


def columns_of(signal: Signal) -> st.SearchStrategy[dict[str, list[Any]]]:
    def of_length(rows: int) -> st.SearchStrategy[dict[str, list[Any]]]:
        return st.fixed_dictionaries(
            {c.name: st.lists(VALUES[c.type], min_size=rows, max_size=rows) for c in signal.columns}
        )

    return st.integers(1, 20).flatmap(of_length)


@pytest.mark.parametrize("signal", frames.SIGNALS.values(), ids=lambda s: s.name)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_both_writers_say_the_same(signal: Signal, data: st.DataObject) -> None:
    columns = data.draw(columns_of(signal))
    ours, theirs = plain.encode(signal, columns, PART), frames.encode(signal, columns, PART)
    decoded = frames.decode(ours.value, ours.headers)
    assert decoded.parts == frames.decode(theirs.value, theirs.headers).parts
    assert {name: decoded.batch.column(name).to_pylist() for name in columns} == columns
    assert own_headers(ours) == own_headers(theirs)
    stream, expected = opened(ours), opened(theirs)
    assert stream.schema.equals(expected.schema, check_metadata=True)
    assert stream.equals(expected)


def own_headers(frame: frames.EncodedFrame) -> dict[str, bytes]:
    return {name: value for name, value in frame.headers if name not in ("abdrift-size", "abdrift-crc32")}


def opened(frame: frames.EncodedFrame) -> pa.RecordBatch:
    """Return what anyone reads by Arrow alone, as it lies in the frame."""
    with pa.ipc.open_stream(pa.CompressedInputStream(pa.py_buffer(frame.value), "zstd")) as reader:
        batch = reader.read_next_batch()
    batch.validate(full=True)
    return batch


@pytest.mark.parametrize("distinct", [1, 256, 257, 65_536, 65_537])
def test_indices_are_as_narrow_as_they_can_be(distinct: int) -> None:
    signal = frames.SIGNALS["events"]
    columns = {c.name: [0 if c.type in (Type.INT32, Type.INT64) else ""] * distinct for c in signal.columns}
    columns["object_name"] = [f"pod-{number}" for number in range(distinct)]
    assert opened(plain.encode(signal, columns, PART)).equals(opened(frames.encode(signal, columns, PART)))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param({"weather": ["fine"]}, ValueError, id="unknown-column"),
        pytest.param({"name": None}, ValueError, id="missing-column"),
        pytest.param({"name": []}, ValueError, id="another-length"),
        pytest.param({"name": [None]}, TypeError, id="null"),
        pytest.param({"kind": [None]}, TypeError, id="null-in-a-dictionary"),
        pytest.param({"name": [5]}, TypeError, id="number-for-text"),
        pytest.param({"object": ["text"]}, TypeError, id="text-for-bytes"),
        pytest.param({"observed_ms": [1 << 63]}, OverflowError, id="too-large"),
        pytest.param({"observed_ms": ["now"]}, TypeError, id="text-for-number"),
    ],
)
def test_what_is_no_frame_is_refused(change: dict[str, Any], error: type[Exception]) -> None:
    signal = frames.SIGNALS["objects"]
    columns = {c.name: [default(c)] for c in signal.columns} | change
    with pytest.raises(error):
        plain.encode(signal, {name: values for name, values in columns.items() if values is not None}, PART)


def default(column: Column) -> Any:
    return {Type.INT64: 1, Type.BINARY: b""}.get(column.type, "")


def test_no_rows_are_no_frame() -> None:
    signal = frames.SIGNALS["objects"]
    with pytest.raises(ValueError, match="1 to"):
        plain.encode(signal, {c.name: [] for c in signal.columns}, PART)


def test_neither_arrow_nor_numpy_is_imported() -> None:
    seen = "import sys, abdrift.arrow.frames; print(*{name.split('.')[0] for name in sys.modules})"
    imported = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pyarrow", "numpy"} & set(imported)

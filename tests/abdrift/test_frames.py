"""Frames keep rows, parts and order; anyone can read them; what is no good frame says why."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abdrift import frames
from abdrift.frames import BadFrame, Part
from abdrift.signals import events, objects
from abdrift.signals.events import EVENTS, EventRow
from tests.abdrift.frame_rows import T0, decoded, encoded, event

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = [event(n) for n in range(40)]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ROW = st.builds(
    EventRow,
    **dict.fromkeys(
        (
            "cluster",
            "namespace",
            "type",
            "reason",
            "component",
            "object_group",
            "object_kind",
            "object_name",
            "object_uid",
            "uid",
            "message",
            "revision",
        ),
        TEXTS,
    ),
    count=st.integers(-(2**31), 2**31 - 1),
    **dict.fromkeys(("first_ms", "last_ms", "observed_ms"), st.integers(-(2**63), 2**63 - 1)),
)


def opened(frame: frames.EncodedFrame) -> pa.RecordBatchReader:
    """Return what a reader who knows nothing of ours makes of a frame."""
    return pa.ipc.open_stream(pa.CompressedInputStream(pa.py_buffer(frame.value), "zstd"))


def crc(value: bytes) -> bytes:
    return b"%08x" % zlib.crc32(value)


def record(batch: pa.RecordBatch, **headers: bytes | None) -> tuple[bytes, list[tuple[str, bytes | None]]]:
    """Return a record as another writer would make it: any batch, and right headers but for those given."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    value = sink.getvalue().to_pybytes()
    told: dict[str, bytes | None] = {
        "signal": b"events",
        "version": b"%d" % EVENTS.version,
        "rows": b"%d" % batch.num_rows,
        "parts": msgspec.json.encode([Part("s", 1, 0, 0, batch.num_rows)]),
        "crc32": crc(value),
    }
    return value, [(f"abdrift-{name}", content) for name, content in (told | headers).items()]


def batch_of(rows: list[EventRow], without: str = "", **changed: Any) -> pa.RecordBatch:
    """Return plain, undictionaried columns, changed as asked."""
    columns = {name: pa.array(values) for name, values in events.columns_of(rows).items() if name != without}
    columns["count"] = columns["count"].cast(pa.int32()) if "count" in columns else pa.array([])
    return pa.RecordBatch.from_pydict(columns | changed)


@given(st.lists(st.lists(ROW, min_size=1, max_size=6), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_rows_parts_and_order_survive(groups: list[list[EventRow]]) -> None:
    single = [decoded(encoded(rows, f"source-{n}", n)) for n, rows in enumerate(groups)]
    merged = decoded(frames.merge(single))
    twice = decoded(frames.merge([merged, merged]))
    flat = [row for rows in groups for row in rows]
    assert [events.rows_of(frame.batch) for frame in single] == groups
    assert events.rows_of(merged.batch) == flat
    assert events.rows_of(twice.batch) == flat + flat
    assert [(p.source, p.sequence) for p in merged.parts] == [(f"source-{n}", n) for n in range(len(groups))]
    assert [events.rows_of(merged.batch.slice(p.first_row, p.rows)) for p in merged.parts] == groups


@pytest.mark.parametrize(
    ("names", "index"),
    [
        pytest.param(1, pa.uint8(), id="one"),
        pytest.param(256, pa.uint8(), id="as-many-as-a-byte-counts"),
        pytest.param(257, pa.uint16(), id="one-more"),
        pytest.param(65_537, pa.uint32(), id="more-than-two-bytes-count"),
    ],
)
def test_indices_are_as_narrow_as_they_can_be(names: int, index: pa.DataType) -> None:
    columns = {name: values * names for name, values in events.columns_of([event()]).items()}
    columns["object_name"] = [str(n) for n in range(names)]
    frame = frames.encode(EVENTS, columns, ("s", 1, 0))
    (batch,) = opened(frame)
    assert batch.column("object_name").type.index_type == index
    assert batch.column("cluster").type.index_type == pa.uint8()


def test_merging_widens_indices_where_it_must() -> None:
    halves = [decoded(encoded([event(object_name=f"{h}-{n}") for n in range(200)])) for h in "ab"]
    (batch,) = opened(frames.merge(halves))
    assert batch.column("object_name").type.index_type == pa.uint16()
    assert batch.column("cluster").type.index_type == pa.uint8()


def test_columns_that_are_encoded_already_are_sent_as_if_they_were_not() -> None:
    names = pa.DictionaryArray.from_arrays(pa.array([3, 0, 3, 1], pa.int32()), pa.array(["Pod", "Job", "x", "Pod"]))
    rows = [event(n, object_name=name) for n, name in enumerate(["Pod", "Pod", "Pod", "Job"])]
    columns = events.columns_of(rows) | {"object_name": names, "uid": names}
    frame = frames.encode(EVENTS, columns, ("s", 1, 0))
    sent = next(iter(opened(frame))).column("object_name")
    assert sorted(sent.dictionary.to_pylist()) == ["Job", "Pod"]
    expected = [msgspec.structs.replace(row, uid=row.object_name) for row in rows]
    assert events.rows_of(decoded(frame).batch) == expected
    with pytest.raises(ValueError, match="required"):
        frames.encode(EVENTS, columns | {"object_name": pa.array(["Pod", None] * 2).dictionary_encode()}, ("s", 1, 0))


def test_text_that_goes_together_is_sent_with_the_same_codes() -> None:
    (sent,) = opened(encoded(ROWS))
    joint = [sent.column(column.name) for column in EVENTS.columns if column.joint]
    assert len({column.indices.to_numpy().tobytes() for column in joint}) == 1
    combinations = {(row.type, row.reason, row.component, row.object_group, row.object_kind) for row in ROWS}
    assert sorted(zip(*(column.dictionary.to_pylist() for column in joint), strict=True)) == sorted(combinations)
    read = decoded(encoded(ROWS)).columns
    assert read["type"].codes is read["object_kind"].codes


def test_too_many_combinations_are_sent_apart() -> None:
    rows = [event(object_kind=f"k{n % 17}", reason=f"r{n}") for n in range(257)]
    (sent,) = opened(encoded(rows))
    assert len(sent.column("object_kind").dictionary) == 17
    assert events.rows_of(decoded(encoded(rows)).batch) == rows


@pytest.mark.parametrize("told", [b"type", b"reason", b"object_name", b"nonsense", b"\xff"])
def test_a_false_word_of_joint_codes_stays_within_bounds(told: bytes) -> None:
    batch = batch_of(ROWS, type=pa.array(["a", "b"] * 20).dictionary_encode())
    for values in (["x", "y"] * 20, ["x", "y", "z", "x"] * 10):
        at = batch.schema.get_field_index("reason")
        field = pa.field("reason", pa.dictionary(pa.int32(), pa.utf8()), metadata={"abdrift.joint": told})
        forged = batch.set_column(at, field, pa.array(values).dictionary_encode())
        assert set(frames.decode(*record(forged)).batch.column("reason").to_pylist()) == set(values)


def test_a_plain_arrow_reader_reads_it() -> None:
    table = opened(encoded(ROWS)).read_all()
    assert table.column("message").to_pylist() == [row.message for row in ROWS]


def test_headers_tell_without_decoding() -> None:
    told = dict(encoded(ROWS).headers)
    assert told["abdrift-signal"] == b"events"
    assert told["abdrift-version"] == b"2"
    assert told["abdrift-rows"] == b"40"
    assert int(told["abdrift-first-ms"]) == T0
    assert int(told["abdrift-last-ms"]) == T0 + 39 * 41


def test_an_objects_frame_keeps_bytes() -> None:
    rows = [objects.ObjectRow(cluster="c", op="added", observed_ms=T0, object=b'{"a":1}', detail=b"")]
    frame = frames.encode(objects.OBJECTS, objects.columns_of(rows), ("s", 1, 0))
    assert objects.rows_of(decoded(frame).batch) == rows


def test_a_column_of_a_newer_writer_is_ignored() -> None:
    value, headers = record(batch_of(ROWS, novelty=pa.array(range(40))))
    assert events.rows_of(frames.decode(value, headers).batch) == ROWS


def test_an_optional_column_of_an_older_writer_is_filled() -> None:
    value, headers = record(batch_of(ROWS, without="message"))
    read = events.rows_of(frames.decode(value, headers).batch)
    assert read == [msgspec.structs.replace(row, message="") for row in ROWS]


@pytest.mark.parametrize("dictionary", [False, True], ids=["plain", "dictionary"])
def test_a_null_in_an_optional_column_reads_as_its_default(dictionary: bool) -> None:
    column = pa.array([None, "said"])
    value, headers = record(batch_of(ROWS[:2], message=column.dictionary_encode() if dictionary else column))
    assert frames.decode(value, headers).batch.column("message").to_pylist() == ["", "said"]


def test_an_optional_column_may_be_left_out_by_the_writer() -> None:
    columns = events.columns_of(ROWS)
    del columns["message"], columns["revision"]
    frame = decoded(frames.encode(EVENTS, columns, ("s", 1, 0)))
    assert {row.message for row in events.rows_of(frame.batch)} == {""}


def test_only_what_is_asked_for_is_read() -> None:
    value, headers = record(batch_of(ROWS, without="reason"))
    frame = frames.decode(value, headers, ("last_ms", "object_uid", "cluster"))
    assert frame.batch.schema.names == ["last_ms", "object_uid", "cluster"]
    assert frame.batch.column("last_ms").to_pylist() == [row.last_ms for row in ROWS]
    with pytest.raises(BadFrame, match="reason"):
        frames.decode(value, headers, ("reason",))


SPANS = [
    pytest.param([T0], pa.uint8(), id="one"),
    pytest.param([T0, T0 + 255], pa.uint8(), id="as-far-as-a-byte-counts"),
    pytest.param([T0, T0 + 256], pa.uint16(), id="one-more"),
    pytest.param([0, T0], pa.int64(), id="too-far-for-four-bytes"),
    pytest.param([-(2**62), 2**62 - 1], pa.int64(), id="half-the-range"),
]


@pytest.mark.parametrize(("times", "kind"), SPANS)
def test_times_are_sent_as_narrow_distances(times: list[int], kind: pa.DataType) -> None:
    rows = [event(last_ms=at, first_ms=at, observed_ms=at, count=7) for at in times]
    sent = next(iter(opened(encoded(rows))))
    assert sent.column("last_ms").type == kind
    assert sent.column("first_ms").type == sent.column("count").type == pa.uint8()
    assert events.rows_of(decoded(encoded(rows)).batch) == rows


def distances(column: pa.Array, **told: bytes) -> tuple[bytes, list[tuple[str, bytes | None]]]:
    """Return a record whose counts come as this column, with this metadata."""
    batch = batch_of(ROWS, count=column)
    at = batch.schema.get_field_index("count")
    field = batch.schema.field(at).with_metadata({f"abdrift.{name}": content for name, content in told.items()})
    return record(pa.RecordBatch.from_arrays(batch.columns, schema=batch.schema.set(at, field)))


@pytest.mark.parametrize("base", [-(2**31), -1, 0, 2**31 - 41])
def test_the_widest_unsigned_integers_are_read_as_others(base: int) -> None:
    value, headers = distances(pa.array(range(40), pa.uint64()), base=b"%d" % base)
    frame = frames.decode(value, headers, ("count",))
    (column,) = frame.columns.values()
    assert (column.distances + np.int64(column.base)).tolist() == list(range(base, base + 40))
    assert frame.batch.column("count").to_pylist() == list(range(base, base + 40))
    named = pa.DictionaryArray.from_arrays(pa.array([1] * 40, pa.uint64()), pa.array(["a", "b"]))
    (column,) = frames.decode(*record(batch_of(ROWS, cluster=named)), ("cluster",)).columns.values()
    assert np.can_cast(column.codes.dtype, np.int64)


NULL_IN_DICTIONARY = pa.DictionaryArray.from_arrays(pa.array([0] * 40), pa.array([None, "c"]))
DOUBLED = pa.RecordBatch.from_arrays(
    [*batch_of(ROWS).columns, pa.array(["twice"] * 40)], names=[*batch_of(ROWS).schema.names, "cluster"]
)
BAD = [
    pytest.param(record(batch_of(ROWS, without="reason")), "missing-column", id="required-column-missing"),
    pytest.param(record(batch_of(ROWS, count=pa.array(["1"] * 40))), "wrong-type", id="wrong-type"),
    pytest.param(record(batch_of(ROWS, cluster=pa.array([1] * 40))), "wrong-type", id="wrong-type-of-text"),
    pytest.param(record(batch_of(ROWS, cluster=pa.array([None] + ["c"] * 39))), "null-value", id="null"),
    pytest.param(record(batch_of(ROWS, cluster=NULL_IN_DICTIONARY)), "null-value", id="null-in-a-dictionary"),
    pytest.param(record(DOUBLED), "bad-frame", id="two-columns-of-a-name"),
    pytest.param(record(batch_of(ROWS), signal=b"weather"), "unknown-signal", id="unknown-signal"),
    pytest.param(record(batch_of(ROWS), signal=None), "unknown-signal", id="header-without-a-value"),
    pytest.param((encoded(ROWS).value, []), "unknown-signal", id="no-headers"),
    pytest.param(record(batch_of(ROWS), version=b"3"), "unknown-version", id="version-to-come"),
    pytest.param(record(batch_of(ROWS), version=b"\xff"), "unknown-version", id="version-of-garbage"),
    pytest.param(record(batch_of(ROWS), parts=b"{"), "bad-header", id="parts-no-json"),
    pytest.param(record(batch_of(ROWS), parts=b'[["s"]]'), "bad-header", id="parts-of-another-shape"),
    pytest.param(
        record(batch_of(ROWS), parts=msgspec.json.encode([Part("s", 1, 0, 3, 37)])),
        "bad-header",
        id="parts-with-a-hole",
    ),
    pytest.param(
        record(batch_of(ROWS), parts=msgspec.json.encode([Part("s", 1, 0, 0, 39)])), "row-count", id="a-row-too-many"
    ),
    pytest.param(record(batch_of(ROWS), rows=b"1"), "row-count", id="rows-understated"),
    pytest.param(record(batch_of([]), parts=b"[]"), "row-count", id="no-rows"),
    pytest.param(record(batch_of(ROWS), encoding=b"br"), "unknown-encoding", id="unknown-encoding"),
    pytest.param(record(batch_of(ROWS), encoding=b"zstd"), "bad-header", id="no-size"),
    pytest.param(record(batch_of(ROWS), encoding=b"zstd", size=b"9"), "bad-frame", id="not-compressed"),
    pytest.param(record(batch_of(ROWS), encoding=b"zstd", size=b"9" * 30), "too-large", id="a-size-beyond-all-bounds"),
    pytest.param(distances(pa.array([1] * 40, pa.uint8()), base=b"x"), "bad-frame", id="a-base-that-is-no-number"),
    pytest.param(distances(pa.array([1] * 40, pa.uint8()), base=b"9" * 30), "wrong-type", id="a-base-too-large"),
    pytest.param(distances(pa.array([1] * 40, pa.uint8()), base=b"2147483647"), "wrong-type", id="beyond-the-type"),
    pytest.param(distances(pa.array(["1"] * 40), base=b"1"), "wrong-type", id="distances-of-text"),
    pytest.param(distances(pa.array([None] * 40, pa.uint8()), base=b"1"), "wrong-type", id="distances-of-nothing"),
    pytest.param(record(batch_of(ROWS), crc32=b"00000000"), "bad-checksum", id="wrong-checksum"),
    pytest.param(record(batch_of(ROWS), crc32=None), "bad-checksum", id="no-checksum"),
]


@pytest.mark.parametrize(("made", "reason"), BAD)
def test_a_bad_frame_says_why(made: tuple[bytes, list[tuple[str, bytes]]], reason: str) -> None:
    with pytest.raises(BadFrame) as refused:
        frames.decode(*made)
    assert refused.value.reason == reason


WHOLE = encoded(ROWS)


def with_value(value: bytes) -> list[tuple[str, bytes]]:
    """Return the headers of a writer, or of an attacker, who computes the checksum after the damage."""
    return [(name, crc(value) if name == "abdrift-crc32" else content) for name, content in WHOLE.headers]


@pytest.mark.parametrize(
    "length", [0, 1, 7, 8, 100, len(WHOLE.value) // 2, len(WHOLE.value) - 20], ids=lambda n: f"{n}-bytes"
)
@pytest.mark.parametrize("headers", [lambda _: WHOLE.headers, with_value], ids=["as-sent", "checksum-made-right"])
def test_a_truncated_frame_is_refused(length: int, headers: Callable[[bytes], Any]) -> None:
    cut = WHOLE.value[:length]
    with pytest.raises(BadFrame):
        frames.decode(cut, headers(cut))


@given(st.integers(0, len(WHOLE.value) - 1), st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_a_corrupted_byte_is_refused(position: int, flipped: int) -> None:
    value = bytearray(WHOLE.value)
    value[position] ^= flipped
    with pytest.raises(BadFrame):
        frames.decode(bytes(value), WHOLE.headers)


@given(st.integers(0, len(WHOLE.value) - 1), st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_forged_bytes_are_read_or_refused(position: int, flipped: int) -> None:
    value = bytearray(WHOLE.value)
    value[position] ^= flipped
    try:
        frame = frames.decode(bytes(value), with_value(bytes(value)))
    except BadFrame:
        return
    assert len(events.rows_of(frame.batch)) == len(ROWS)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_garbage_is_refused(value: bytes) -> None:
    with pytest.raises(BadFrame):
        frames.decode(value, with_value(value))


def test_an_oversized_value_is_refused_unread() -> None:
    with pytest.raises(BadFrame) as refused:
        frames.decode(bytes(frames.MAX_VALUE_BYTES + 1), WHOLE.headers)
    assert refused.value.reason == "too-large"


def test_a_size_other_than_promised_is_refused() -> None:
    for size_bytes in (0, 100, len(WHOLE.value), 1 << 20):
        told = [(name, b"%d" % size_bytes if name == "abdrift-size" else content) for name, content in WHOLE.headers]
        with pytest.raises(BadFrame):
            frames.decode(WHOLE.value, told)


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_a_decompression_bomb_is_refused_before_it_goes_off(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_DECOMPRESSED_BYTES", 1 << 20)
    batch = batch_of(ROWS[:1], novelty=pa.array(["0" * (8 << 20)]))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_batch(batch)
    value = sink.getvalue().to_pybytes()
    _, headers = record(batch, crc32=crc(value))
    assert len(value) < 1 << 17
    before = pa.total_allocated_bytes()
    with pytest.raises(BadFrame) as refused:
        frames.decode(value, headers)
    assert refused.value.reason == "too-large"
    assert pa.total_allocated_bytes() <= before


UNENCODABLE = [
    pytest.param({"reason": [None] * 40}, ValueError, "required", id="none-in-a-required-column"),
    pytest.param({"weather": [1] * 40}, ValueError, "no column 'weather'", id="unknown-column"),
    pytest.param({"reason": ["x"] * 39}, ValueError, None, id="another-length"),
    pytest.param({"count": [2**31] * 40}, (ValueError, OverflowError), None, id="too-large-a-number"),
    pytest.param({"count": ["1"] * 40}, (ValueError, TypeError), None, id="another-type"),
]


@pytest.mark.parametrize(("changed", "error", "words"), UNENCODABLE)
def test_what_no_reader_would_take_is_not_encoded(changed: dict[str, Any], error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        frames.encode(EVENTS, events.columns_of(ROWS) | changed, ("s", 1, 0))


def test_a_missing_column_and_no_rows_are_not_encoded() -> None:
    columns = events.columns_of(ROWS)
    del columns["reason"]
    with pytest.raises(ValueError, match="'reason' is missing"):
        frames.encode(EVENTS, columns, ("s", 1, 0))
    with pytest.raises(ValueError, match="1 to"):
        frames.encode(EVENTS, events.columns_of([]), ("s", 1, 0))


def test_only_frames_of_one_signal_merge() -> None:
    row = objects.ObjectRow(cluster="c", op="added", observed_ms=T0)
    other = decoded(frames.encode(objects.OBJECTS, objects.columns_of([row]), ("s", 1, 0)))
    for frames_given in ([], [decoded(WHOLE), other]):
        with pytest.raises(ValueError, match="all of one signal"):
            frames.merge(frames_given)


def test_an_index_beyond_its_dictionary_is_refused() -> None:
    for index in (pa.uint8(), pa.int32()):
        beyond = pa.DictionaryArray.from_arrays(pa.array([0] * 39 + [1], index), pa.array(["c"]), safe=False)
        with pytest.raises(BadFrame):
            frames.decode(*record(batch_of(ROWS, cluster=beyond)), ("cluster",))


@pytest.mark.parametrize(("rows", "at_most"), [(500, 25), (2_000, 18), (10_000, 14)])
def test_a_row_costs_few_bytes(rows: int, at_most: float) -> None:
    sent = [event(n, uid="", object_uid="") for n in range(rows)]
    assert len(encoded(sent).value) / rows <= at_most

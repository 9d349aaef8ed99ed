"""The Lumberjack decoder: what is right, what is wrong, and anything at all."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.logs.beats import Batch, Decoder, FrameLimits, ProtocolError, acknowledgement
from tests.collectors.logs.lumberjack import compressed, data_frame, json_frame, window, windowed

SMALL = FrameLimits(
    window_events=100,
    event_bytes=1_000,
    compressed_bytes=10_000,
    inflated_bytes=200_000,
    batch_events=10,
    batch_bytes=2_000,
)


def decoded(data: bytes, limits: FrameLimits = SMALL) -> list[Batch]:
    return list(Decoder(limits).feed(data))


@pytest.mark.parametrize(
    ("data", "batches"),
    [
        pytest.param(windowed([{"a": 1}, {}]), [Batch(50, 2, [b'{"a": 1}', b"{}"], ends_window=True)], id="json"),
        pytest.param(
            windowed([{}, {}], packed=True), [Batch(50, 2, [b"{}", b"{}"], ends_window=True)], id="compressed"
        ),
        pytest.param(
            window(2) + compressed(json_frame(1, {})) + json_frame(2, {}),
            [Batch(50, 2, [b"{}", b"{}"], ends_window=True)],
            id="partly-compressed",
        ),
        pytest.param(
            window(1, b"1") + compressed(data_frame(7, {"line": "x", "n": ""}), b"1"),
            [Batch(49, 7, [{"line": "x", "n": ""}], ends_window=True)],
            id="version-1-counts-over-windows",
        ),
        pytest.param(window(0), [Batch(50, 0, [], ends_window=True)], id="empty-window"),
        pytest.param(
            windowed([{}]) + windowed([{}]),
            [Batch(50, 1, [b"{}"], ends_window=True), Batch(50, 1, [b"{}"], ends_window=True)],
            id="windows-in-a-row",
        ),
        pytest.param(
            window(9) + json_frame(1, {}) + windowed([{}]),
            [Batch(50, 1, [b"{}"], ends_window=True), Batch(50, 1, [b"{}"], ends_window=True)],
            id="window-given-up",
        ),
        pytest.param(
            windowed([{}] * 15),
            [Batch(50, 10, [b"{}"] * 10, ends_window=False), Batch(50, 15, [b"{}"] * 5, ends_window=True)],
            id="in-parts-by-events",
        ),
        pytest.param(
            windowed([b"x" * 1_000] * 3),
            [
                Batch(50, 2, [b"x" * 1_000] * 2, ends_window=False),
                Batch(50, 3, [b"x" * 1_000], ends_window=True),
            ],
            id="in-parts-by-bytes",
        ),
        pytest.param(window(5) + json_frame(1, {}), [], id="not-whole-yet"),
    ],
)
def test_batches(data: bytes, batches: list[Batch]) -> None:
    assert decoded(data) == batches
    byte_by_byte = Decoder(SMALL)
    assert [batch for at in range(len(data)) for batch in byte_by_byte.feed(data[at : at + 1])] == batches


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"G", "bad-version", id="http"),
        pytest.param(b"\x16\x03\x01", "bad-version", id="tls"),
        pytest.param(b"3W\0\0\0\1", "bad-version", id="version-3"),
        pytest.param(b"2X", "bad-frame", id="type"),
        pytest.param(json_frame(1, {}), "bad-frame", id="event-without-window"),
        pytest.param(windowed([{}]) + json_frame(2, {}), "bad-frame", id="event-beyond-its-window"),
        pytest.param(window(101), "too-large", id="window"),
        pytest.param(window(1) + b"2J" + struct.pack(">II", 1, 1_001), "too-large", id="event"),
        pytest.param(window(1) + b"2J" + b"\xff" * 8, "too-large", id="event-of-4-gb"),
        pytest.param(window(1) + b"2C" + b"\xff" * 4, "too-large", id="compressed-of-4-gb"),
        pytest.param(b"2C" + struct.pack(">I", 4) + b"zlib", "bad-compression", id="no-zlib"),
        pytest.param(b"2C\0\0\0\0", "bad-compression", id="compressed-nothing"),
        pytest.param(window(1) + compressed(json_frame(1, {})[:-1]), "bad-compression", id="cut-within"),
        pytest.param(window(1) + compressed(compressed(json_frame(1, {}))), "bad-frame", id="compressed-twice"),
        pytest.param(b"1D" + struct.pack(">II", 1, 0), "bad-frame", id="no-pairs"),
        pytest.param(b"1D" + struct.pack(">II", 1, 2**31), "bad-frame", id="many-pairs"),
        pytest.param(window(1, b"1") + b"1D" + struct.pack(">III", 1, 1, 2**31), "too-large", id="long-name"),
    ],
)
def test_what_is_no_lumberjack(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError) as error:
        decoded(data)
    assert error.value.reason == reason


def bomb(plain: bytes, times: int) -> bytes:
    packer = zlib.compressobj(9)
    packed = b"".join([*(packer.compress(plain) for _ in range(times)), packer.flush()])
    return b"2C" + struct.pack(">I", len(packed)) + packed


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(bomb(b"\0" * 1_000_000, 100), "bad-version", id="zeros"),
        pytest.param(
            window(1) + bomb(b"2J" + struct.pack(">II", 1, 2**30) + b" " * 10**6, 100), "too-large", id="event"
        ),
        pytest.param(bomb(window(0) * 100_000, 100), "bad-frame", id="windows"),
        pytest.param(window(9) + bomb(json_frame(1, {}) * 10_000, 100), "bad-frame", id="events"),
        pytest.param(window(99) + bomb(json_frame(1, b" " * 10**6), 50), "too-large", id="large-events"),
    ],
)
def test_bombs_are_refused_before_they_take_memory(data: bytes, reason: str) -> None:
    assert len(data) < 3_000_000
    limits = FrameLimits()
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError) as error:
            for _ in Decoder(limits.model_copy(update={"inflated_bytes": 10_000_000})).feed(data):
                pass
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.value.reason == reason
    assert most_bytes < 8_000_000


EVENTS = st.lists(st.dictionaries(st.text(max_size=5), st.integers(0, 9), max_size=2), min_size=1, max_size=30)


@given(st.lists(st.tuples(EVENTS, st.booleans()), max_size=4), st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_however_it_is_cut_every_event_comes_once_and_in_order(
    windows: list[tuple[list[Any], bool]], data: st.DataObject
) -> None:
    sent = b"".join(windowed(events, packed=packed) for events, packed in windows)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    decoder = Decoder(SMALL)
    found = [
        batch
        for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)
        for batch in decoder.feed(sent[begin:end])
    ]
    assert sum(len(batch.events) for batch in found) == sum(len(events) for events, _ in windows)
    assert [batch.sequence for batch in found if batch.ends_window] == [len(events) for events, _ in windows]
    assert decoder.is_between_windows


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.just(windowed([{}, {}])),
            st.just(windowed([{}], packed=True)),
            st.sampled_from([b"2W", b"2J", b"1D", b"2C", b"\0\0\0\1", b"\0\0\0\0", b"\xff\xff\xff\xff"]),
            st.binary(max_size=40).map(compressed),
        ),
        max_size=8,
    )
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_are_decoded_or_refused(pieces: list[bytes]) -> None:
    decoder = Decoder(SMALL)
    with contextlib.suppress(ProtocolError):
        for piece in pieces:
            for batch in decoder.feed(piece):
                assert len(batch.events) <= SMALL.batch_events


def test_acknowledgements() -> None:
    assert acknowledgement(ord("2"), 258) == b"2A\x00\x00\x01\x02"

"""Both protocols of remote write: what is decoded, what is refused, and that nothing else comes of any bytes."""

from __future__ import annotations

import math
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abdrift.signals.samples import STALE_NAN, labels_of
from collectors.prometheus import snappy, write_v1, write_v2
from collectors.prometheus.cardinality import SeriesLimits
from collectors.prometheus.catalogue import Catalogue
from collectors.prometheus.protobuf import MalformedError
from collectors.prometheus.relabelling import Rule, Rules
from tests.collectors.prometheus.writing import (
    Series,
    compressed,
    histogram,
    integer,
    message,
    request_v1,
    request_v2,
    sample,
    varint,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collectors.prometheus.samples import Decoded

NOW_MS = 1_795_000_000_000
MAX_SAMPLES = 1_000
UP = {"__name__": "up", "instance": "a:9100", "job": "node"}
NAMED = message(1, message(1, b"__name__") + message(2, b"up"))
PROTOCOLS = [
    pytest.param((write_v1.decode, request_v1), id="1.0"),
    pytest.param((write_v2.decode, request_v2), id="2.0"),
]
Protocol = tuple["Callable[..., Decoded]", "Callable[[Sequence[Series]], bytes]"]
Labels = tuple[tuple[str, str], ...]
Row = tuple[str, Labels, bytes, int, bytes]


def catalogue(**given: Any) -> Catalogue:
    rules = given.pop("rules", ())
    return Catalogue(SeriesLimits(**given), Rules(rules), "cluster")


def decode(protocol: Protocol, raw: bytes, known: Catalogue | None = None) -> tuple[Decoded, list[Row]]:
    """Decode a message and return its samples as rows too, values as their bits."""
    into = known or catalogue()
    decoded = protocol[0](raw, "client", into, lambda named: named or "edge-1", MAX_SAMPLES)
    rows = []
    for at, number in enumerate(decoded.series.tolist()):
        cluster, metric, labels = into.table.one(number)
        value = struct.pack("<d", decoded.values[at])
        assert cluster == labels_of(labels).get("cluster", "edge-1")
        named = metric, tuple(sorted(labels_of(labels).items()))
        rows.append((*named, value, int(decoded.times_ms[at]), decoded.histograms.get(at, b"")))
    return decoded, rows


def rows_of(series: Sequence[Series]) -> list[Row]:
    rows: list[Row] = []
    for each in series:
        labels = {name: value for name, value in each.labels.items() if value}
        named = labels.pop("__name__"), tuple(sorted(labels.items()))
        rows += [(*named, struct.pack("<d", value or 0.0), time_ms, b"") for value, time_ms in each.samples]
    return rows


def several(count: int, **labels: str) -> list[Series]:
    return [
        Series({"__name__": f"metric_{n % 7}", "instance": f"host-{n}", **labels}, [(n / 3, NOW_MS + n)])
        for n in range(count)
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "series",
    [
        pytest.param([Series(UP, [(1.0, NOW_MS)])], id="one"),
        pytest.param([Series(UP, [(0.0, NOW_MS)])], id="zero-is-not-written"),
        pytest.param([Series(UP, [(1.0, NOW_MS), (0.0, NOW_MS + 1), (3.5, NOW_MS + 2)])], id="several-samples"),
        pytest.param([Series(UP, [(1.0, 0)])], id="no-time"),
        pytest.param([Series(UP, [(1.0, -5)])], id="before-1970"),
        pytest.param([Series(UP, [(1.0, 2**43)])], id="after-2109"),
        pytest.param([Series(UP, [(math.inf, NOW_MS)]), Series(UP, [(-math.inf, NOW_MS)])], id="infinite"),
        pytest.param(several(300), id="many"),
        pytest.param(several(3, pod="x" * 200, node="y" * 3_000), id="long-labels"),
        pytest.param([Series({**UP, "empty": ""}, [(1.0, NOW_MS)])], id="an-empty-label-is-none"),
        pytest.param([Series({**UP, "ort": "Zürich ☃"}, [(1.0, NOW_MS)])], id="any-utf8"),
        pytest.param([Series({**UP, **{f"l{n}": "v" for n in range(60)}}, [(1.0, NOW_MS)])], id="many-labels"),
        pytest.param([Series({"job": "a", "__name__": "up"}, [(1.0, NOW_MS)])], id="unsorted-labels"),
        pytest.param([Series({**UP, "cluster": "edge-7"}, [(1.0, NOW_MS)])], id="a-cluster-by-label"),
    ],
)
def test_samples_come_out_as_they_went_in(protocol: Protocol, series: list[Series]) -> None:
    known = catalogue()
    for _ in range(2):  # the second time the series are known
        decoded, rows = decode(protocol, protocol[1](series), known)
        assert sorted(rows) == sorted(rows_of(series))
        assert not decoded.refusals


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_staleness_marker_keeps_its_bits(protocol: Protocol) -> None:
    stale = struct.unpack("<d", struct.pack("<Q", STALE_NAN))[0]
    known = catalogue()
    for _ in range(2):
        decoded, _ = decode(protocol, protocol[1]([Series(UP, [(stale, NOW_MS)])]), known)
        assert decoded.values.view(np.uint64).tolist() == [STALE_NAN]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_native_histograms_are_kept_as_they_are(protocol: Protocol) -> None:
    kept = histogram(17, 4.5, NOW_MS)
    stale = histogram(1, struct.unpack("<d", struct.pack("<Q", STALE_NAN))[0], NOW_MS)
    series = [Series(UP, [(1.0, NOW_MS)], histograms=[kept, stale])]
    decoded, rows = decode(protocol, protocol[1](series))
    assert [row[4] for row in rows] == [b"", kept, stale]
    assert decoded.values[:2].tolist() == [1.0, 17.0]
    assert decoded.values.view(np.uint64)[2] == STALE_NAN
    assert decoded.times_ms.tolist() == [NOW_MS] * 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_exemplars_are_left_out_and_counted(protocol: Protocol) -> None:
    series = [Series(UP, [(1.0, NOW_MS)], exemplars=[sample(1.0, NOW_MS)] * 2)]
    decoded, rows = decode(protocol, protocol[1](series))
    assert rows == rows_of(series)
    assert decoded.suppressed["exemplar"] == 2


def test_start_timestamps_and_metadata_are_passed_over() -> None:
    described = integer(1, 1) + integer(3, 2)
    series = [Series(UP, [(1.0, NOW_MS)], starts_ms=[NOW_MS - 9], metadata=described), *several(2)]
    decoded, rows = decode((write_v2.decode, request_v2), request_v2(series))
    assert sorted(rows) == sorted(rows_of(series))
    assert decoded.suppressed["start-timestamp"] == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_rules_drop_and_change_series(protocol: Protocol) -> None:
    rules = [
        Rule(action="drop", source_labels=("__name__",), regex="metric_[0-4]"),
        Rule(action="labeldrop", regex="instance"),
    ]
    known = catalogue(rules=rules)
    for _ in range(2):
        decoded, rows = decode(protocol, protocol[1](several(7)), known)
        assert [row[:2] for row in rows] == [("metric_5", ()), ("metric_6", ())]
        assert decoded.suppressed["rules"] == 5
        assert not decoded.refusals


BAD_SERIES = [
    pytest.param({"job": "a"}, "no-name", id="no-name"),
    pytest.param({**UP, "": "x"}, "empty-name", id="a-label-without-a-name"),
    pytest.param({**UP, "long": "x" * 5_000}, "label-value", id="a-long-value"),
    pytest.param({**UP, "l" * 500: "x"}, "label-name", id="a-long-name"),
    pytest.param({**UP, **{f"l{n}": "v" for n in range(70)}}, "labels", id="many-labels"),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("labels", "reason"), BAD_SERIES)
def test_a_bad_series_leaves_the_others(protocol: Protocol, labels: dict[str, str], reason: str) -> None:
    good = several(3)
    series = [good[0], Series(labels, [(1.0, NOW_MS), (2.0, NOW_MS)]), *good[1:]]
    decoded, rows = decode(protocol, protocol[1](series))
    assert rows == rows_of(good)
    assert decoded.refusals.reasons == {reason: 2}
    assert len(decoded.refusals.messages[0]) < 400


def test_a_label_given_twice_is_refused() -> None:
    label = message(1, message(1, b"__name__") + message(2, b"up"))
    decoded, rows = decode((write_v1.decode, request_v1), message(1, label + label + message(2, sample(1, NOW_MS))))
    assert not rows
    assert decoded.refusals.reasons == {"twice": 1}


def test_text_that_is_no_utf8_is_refused() -> None:
    label = message(1, message(1, b"__name__") + message(2, b"\xff"))
    decoded, _ = decode((write_v1.decode, request_v1), message(1, label + message(2, sample(1, NOW_MS))))
    assert decoded.refusals.reasons == {"not-utf8": 1}


@pytest.mark.parametrize(
    ("references", "reason"),
    [
        pytest.param(b"\x01\x02\x03", "references", id="odd"),
        pytest.param(b"\x01\x63", "references", id="outside-the-symbols"),
        pytest.param(b"\x01\xff\xff\xff\xff\x0f", "references", id="far-outside"),
        pytest.param(b"", "no-name", id="none"),
    ],
)
def test_references_must_be_symbols(references: bytes, reason: str) -> None:
    symbols = b"".join(message(4, each) for each in (b"", b"__name__", b"up"))
    series = message(5, message(1, references) + message(2, sample(1, NOW_MS)))
    good = message(5, message(1, b"\x01\x02") + message(2, sample(1, NOW_MS)))
    decoded, rows = decode((write_v2.decode, request_v2), symbols + series + good)
    assert [row[0] for row in rows] == ["up"]
    assert decoded.refusals.reasons == {reason: 1}


def test_a_series_of_2_0_without_samples_is_refused() -> None:
    decoded, _ = decode((write_v2.decode, request_v2), request_v2([Series(UP)]))
    assert decoded.refusals.reasons == {"no-samples": 1}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_sample_within_a_label_is_none(protocol: Protocol) -> None:
    """What ends in the bytes of a sample need not be one."""
    fake = (message(2, sample(1.5, NOW_MS))).decode("latin-1")
    label = message(1, b"trap") + varint(2 << 3 | 2) + varint(len(fake)) + fake.encode("latin-1")
    raw = request_v1([Series(UP, [(2.0, NOW_MS)])]) if protocol[1] is request_v1 else request_v2(several(1))
    if protocol[1] is request_v1:
        body = message(2, sample(7.0, NOW_MS)) + message(1, message(1, b"__name__") + message(2, b"up"))
        raw += message(1, body + message(1, label))
        decoded, rows = decode(protocol, raw)
        assert len(rows) == 1
        assert sum(decoded.refusals.reasons.values()) == 1  # no UTF-8: it was read as the label that it is
    else:
        assert len(decode(protocol, raw)[1]) == 1


@pytest.mark.parametrize(
    ("protocol", "raw", "says"),
    [
        pytest.param(PROTOCOLS[0], b"\x0a", "cut short", id="1.0-cut-in-a-length"),
        pytest.param(PROTOCOLS[0], b"\x0a\x05\x0a", "ends after", id="1.0-cut-in-a-series"),
        pytest.param(PROTOCOLS[0], b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "ten bytes", id="1.0-length"),
        pytest.param(PROTOCOLS[0], b"\x0b", "wire type", id="1.0-group"),
        pytest.param(PROTOCOLS[0], b"\x08\x01", "wire type", id="1.0-series-as-a-number"),
        pytest.param(PROTOCOLS[0], b"\x00\x01", "number 0", id="1.0-field-0"),
        pytest.param(PROTOCOLS[0], message(1, NAMED + message(2, b"\x08\x01")), "wire type", id="1.0-value"),
        pytest.param(PROTOCOLS[0], request_v2(several(3)), "none of prometheus.WriteRequest", id="2.0-as-1.0"),
        pytest.param(PROTOCOLS[1], request_v1(several(3)), "none of io.prometheus", id="1.0-as-2.0"),
        pytest.param(PROTOCOLS[1], message(4, b"x"), "first symbol", id="2.0-first-symbol"),
        pytest.param(PROTOCOLS[1], b"\x2a\x05\x0a", "ends after", id="2.0-cut-in-a-series"),
        pytest.param(PROTOCOLS[1], b"\x28\x01", "wire type", id="2.0-series-as-a-number"),
        pytest.param(PROTOCOLS[0], request_v1(several(MAX_SAMPLES + 1)), "at most", id="1.0-many-series"),
        pytest.param(PROTOCOLS[1], request_v2(several(MAX_SAMPLES + 1)), "at most", id="2.0-many-series"),
        pytest.param(
            PROTOCOLS[0], request_v1([Series(UP, [(1.0, NOW_MS)] * (MAX_SAMPLES + 1))]), "more than", id="1.0-samples"
        ),
        pytest.param(
            PROTOCOLS[1], request_v2([Series(UP, [(1.0, NOW_MS)] * (MAX_SAMPLES + 1))]), "more than", id="2.0-samples"
        ),
    ],
)
def test_what_is_no_request(protocol: Any, raw: bytes, says: str) -> None:
    with pytest.raises(MalformedError, match=says):
        decode(protocol.values[0], raw)


NAMES = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
SERIES = st.builds(
    Series,
    labels=st.dictionaries(NAMES, NAMES, max_size=5).map(lambda labels: {**labels, "__name__": "m"}),
    samples=st.lists(st.tuples(st.floats(allow_nan=False), st.integers(0, 2**45)), min_size=1, max_size=3),
    histograms=st.lists(st.just(histogram(1, 2.0, NOW_MS)), max_size=1),
    exemplars=st.lists(st.just(sample(1, NOW_MS)), max_size=1),
    metadata=st.sampled_from([None, b"", integer(1, 1)]),
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(series=st.lists(SERIES, max_size=6))
def test_any_request_is_decoded(protocol: Protocol, series: list[Series]) -> None:
    known = catalogue()
    for _ in range(2):
        decoded, rows = decode(protocol, protocol[1](series), known)
        assert sorted(row for row in rows if not row[4]) == sorted(rows_of(series))
        assert len(decoded.histograms) == sum(len(each.histograms) for each in series)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    series=st.lists(SERIES, max_size=4),
    flips=st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.none() | st.integers(0, 500),
)
def test_damaged_requests_end_in_the_protocols_error(
    protocol: Protocol, series: list[Series], flips: list[tuple[int, int]], cut: int | None
) -> None:
    raw = bytearray(protocol[1](series)[:cut])
    for place, byte in flips:
        if raw:
            raw[place % len(raw)] = byte
    known = catalogue()
    for _ in range(2):
        try:
            decoded, rows = decode(protocol, bytes(raw), known)
        except MalformedError:
            continue
        assert len(rows) == len(decoded.times_ms) == len(decoded.values)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raw=st.binary(max_size=60))
def test_any_bytes_end_in_the_protocols_error(protocol: Protocol, raw: bytes) -> None:
    for attempt in (raw, b"\x0a" + raw, b"\x22\x00\x2a" + raw):
        try:
            decode(protocol, attempt)
        except MalformedError:
            continue


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raw=st.binary(max_size=500))
def test_snappy_blocks_are_undone(raw: bytes) -> None:
    assert snappy.decompressed(compressed(raw), 500) == raw


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raw=st.binary(max_size=80))
def test_what_is_no_snappy_block_is_malformed(raw: bytes) -> None:
    with suppress(MalformedError, snappy.TooLargeError):
        assert len(snappy.decompressed(raw, 10_000)) <= 10_000


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(varint(2**32 - 1) + b"\x00a", id="promises-four-gigabytes"),
        pytest.param(compressed(b"\0" * 10_000_000), id="holds-ten-megabytes"),
    ],
)
def test_a_snappy_bomb_is_refused_before_it_is_undone(bomb: bytes) -> None:
    with pytest.raises(snappy.TooLargeError, match="at most 1000"):
        snappy.decompressed(bomb, 1_000)

"""Remote write as a sender writes it: requests of both protocols, made field by field."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cramjam

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Series:
    """One series of a request. Samples are value and milliseconds; histograms and exemplars are messages."""

    labels: Mapping[str, str]
    samples: Sequence[tuple[float, int]] = ()
    histograms: Sequence[bytes] = ()
    exemplars: Sequence[bytes] = ()
    starts_ms: Sequence[int] = field(default=())
    metadata: bytes | None = b""


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def double(number: int, value: float) -> bytes:
    packed = struct.pack("<d", value)
    return varint(number << 3 | 1) + packed if value else b""


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value) if value else b""


def sample(value: float, time_ms: int, start_ms: int = 0) -> bytes:
    return double(1, value) + integer(2, time_ms) + integer(3, start_ms)


def histogram(count: int, total: float, time_ms: int) -> bytes:
    """Write a histogram of one bucket."""
    span = integer(1, 2) + integer(2, 1)
    return (
        integer(1, count)
        + double(3, total)
        + message(11, span)
        + message(12, varint(count << 1))
        + integer(15, time_ms)
    )


def request_v1(series: Iterable[Series]) -> bytes:
    return b"".join(message(1, _series_v1(each)) for each in series)


def _series_v1(series: Series) -> bytes:
    labels = (
        message(1, message(1, name.encode()) + (message(2, value.encode()) if value else b""))
        for name, value in series.labels.items()
    )
    samples = (message(2, sample(*each)) for each in series.samples)
    exemplars = (message(3, each) for each in series.exemplars)
    histograms = (message(4, each) for each in series.histograms)
    return b"".join([*labels, *samples, *exemplars, *histograms])


def request_v2(series: Iterable[Series]) -> bytes:
    symbols: dict[str, int] = {"": 0}
    written = [message(5, _series_v2(each, symbols)) for each in series]
    return b"".join([*(message(4, each.encode()) for each in symbols), *written])


def _series_v2(series: Series, symbols: dict[str, int]) -> bytes:
    texts = [text for pair in series.labels.items() for text in pair]
    references = b"".join(varint(symbols.setdefault(text, len(symbols))) for text in texts)
    starts = [*series.starts_ms, *[0] * len(series.samples)]
    samples = (message(2, sample(*each, start)) for each, start in zip(series.samples, starts, strict=False))
    parts = [
        message(1, references) if references else b"",
        *samples,
        *(message(3, each) for each in series.histograms),
        *(message(4, each) for each in series.exemplars),
        b"" if series.metadata is None else message(5, series.metadata),
    ]
    return b"".join(parts)


def compressed(request: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(request))

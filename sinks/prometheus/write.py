"""Remote write's protocol 1.0: samples as compressed messages. Pure.

Source: Prometheus's "Prometheus Remote-Write 1.0 specification", and prometheus/prompb/{remote,types}.proto.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

import cramjam
from prometheus_client.metrics_core import Metric

STALE: Final = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""The NaN that says that a series has ended."""
HEADERS: Final = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
_MORE: Final = 0x80
_BYTES: Final = 2
_DOUBLE: Final = 1 << 3 | 1
_VARINT_2: Final = 2 << 3

Series = tuple[tuple[str, str], ...]
"""Labels by name in alphabetical order, `__name__` among them."""


class Request(NamedTuple):
    """A body, and how many samples it holds."""

    body: bytes
    samples: int


def series(metrics: Iterable[Metric], labels: Mapping[str, str]) -> dict[Series, float]:
    """Return the value of each series; `labels` are added where a series has not set them."""
    return {
        tuple(sorted({**labels, **{k: v for k, v in sample.labels.items() if v}, "__name__": sample.name}.items())): (
            sample.value
        )
        for metric in metrics
        for sample in metric.samples
    }


def requests(values: Mapping[Series, float], at_ms: int, most_samples: int) -> Iterator[Request]:
    """Yield bodies of at most so many samples, all of one moment in milliseconds since the epoch."""
    rest = iter(values.items())
    while some := list(islice(rest, most_samples)):
        message = b"".join(_field(1, _time_series(labels, value, at_ms)) for labels, value in some)
        yield Request(bytes(cramjam.snappy.compress_raw(message)), len(some))


def _time_series(labels: Series, value: float, at_ms: int) -> bytes:
    named = (_field(1, _field(1, name.encode()) + _field(2, text.encode())) for name, text in labels)
    sample = struct.pack("<Bd", _DOUBLE, value) + bytes([_VARINT_2]) + _varint(at_ms)
    return b"".join(named) + _field(2, sample)


def _field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    written = bytearray()
    while value >= _MORE:
        written.append(value & 0x7F | _MORE)
        value >>= 7
    written.append(value)
    return bytes(written)

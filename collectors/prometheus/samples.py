"""What a request of remote write brought: columns of samples, and what of it was not taken."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from abdrift.signals.samples import STALE_NAN
from collectors.blocks import Floats, Numbers, Times
from collectors.prometheus.catalogue import SUPPRESSED
from collectors.prometheus.protobuf import MalformedError, Wire, fields, signed, varint

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_MESSAGES: Final = 10
"""So many different refusals are told to the sender."""
STALE: Final = float(np.array([STALE_NAN], dtype="<u8").view("<f8")[0])

# A sample as Prometheus writes it, with the tag of its field in the series: `12 10 09 <value> 10 <time>`; a value of
# zero is left out. A time from 1971 to 2109 has six bytes. What may vary is 0 in the mask.
_TIME: Final = (0x80,) * 5 + (0x00,)
_TIME_MASK: Final = (0x80,) * 6


@dataclass(frozen=True, slots=True)
class Layout:
    """How a sample's bytes are laid out: `pattern` where `mask` is set."""

    pattern: Bytes
    mask: Bytes
    has_value: bool

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return len(self.pattern)

    def found(self, data: Bytes, starts: Places) -> Flags:
        """Return where a sample of this layout begins; each place has as many bytes left as it takes."""
        fits: Flags = ((self._bytes(data, starts) & self.mask) == self.pattern).all(axis=1)
        return fits

    def read(self, data: Bytes, starts: Places) -> tuple[Floats, Times]:
        """Return the values and times of samples of this layout."""
        found = self._bytes(data, starts)
        values = np.zeros(len(starts))
        if self.has_value:
            values = np.ascontiguousarray(found[:, 3:11]).view("<f8").reshape(-1)
        times = found[:, -6:].astype(np.int64) & 0x7F
        return values, (times << np.arange(0, 42, 7)).sum(axis=1)

    def _bytes(self, data: Bytes, starts: Places) -> Bytes:
        found: Bytes = data[starts[:, None] + np.arange(self.size)]
        return found


def _layout(head: tuple[int, ...], mask: tuple[int, ...], *, has_value: bool) -> Layout:
    return Layout(np.array([*head, *_TIME], dtype=np.uint8), np.array([*mask, *_TIME_MASK], dtype=np.uint8), has_value)


FULL: Final = _layout((0x12, 16, 0x09, *(0,) * 8, 0x10), (255, 255, 255, *(0,) * 8, 255), has_value=True)
ZERO: Final = _layout((0x12, 7, 0x10), (255, 255, 255), has_value=False)


@dataclass(slots=True)
class Refusals:
    """What was not taken, counted by reason, and the first messages that say why."""

    reasons: Counter[str] = field(default_factory=Counter)
    messages: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.reasons)

    def add(self, reason: str, message: str, samples: int) -> None:
        """Note samples that are not taken, or a series without any."""
        self.reasons[reason] += max(1, samples)
        if len(self.messages) < _MESSAGES and message not in self.messages:
            self.messages.append(message)


@dataclass(slots=True)
class Decoded:
    """A request's samples as columns of one length, and what else was in it."""

    series: Numbers
    values: Floats
    times_ms: Times
    histograms: dict[int, bytes] = field(default_factory=dict)
    """By the place of their sample."""
    text_bytes: int = 0
    """Of the series' names as they were sent."""
    refusals: Refusals = field(default_factory=Refusals)
    suppressed: Counter[str] = field(default_factory=Counter)
    """Left out on purpose: exemplars, start timestamps, samples that the rules drop."""


@dataclass(slots=True)
class Loose:
    """Samples of series that are not laid out as most are, one at a time."""

    series: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    histograms: dict[int, bytes] = field(default_factory=dict)

    def add(self, series: int, value: float, time_ms: int, histogram: bytes = b"") -> None:
        """Add a sample."""
        if histogram:
            self.histograms[len(self.series)] = histogram
        self.series.append(series)
        self.values.append(value)
        self.times_ms.append(time_ms)


@dataclass(slots=True)
class Content:
    """Where the parts of one series' message lie, besides its labels."""

    samples: list[tuple[int, int]] = field(default_factory=list)
    histograms: list[tuple[int, int]] = field(default_factory=list)
    exemplars: int = 0

    def __len__(self) -> int:
        return len(self.samples) + len(self.histograms)

    def into(self, raw: bytes, number: int, loose: Loose) -> int:
        """Add the samples to `loose` under their series' number; return how many had a start timestamp."""
        started = 0
        for start, stop in self.samples:
            value, time_ms, has_start = _sample(raw, start, stop)
            loose.add(number, value, time_ms)
            started += has_start
        for start, stop in self.histograms:
            value, time_ms, has_start = _histogram(raw, start, stop)
            loose.add(number, value, time_ms, raw[start:stop])
            started += has_start
        return started


@dataclass(slots=True)
class Columns:
    """Where the samples lie of series that have one each, as most have, laid out as Prometheus writes them."""

    data: Bytes
    full: Flags
    zero: Flags
    """Which of the series have such a sample, and of which layout."""
    starts: Places
    """Where the sample of each begins."""

    @property
    def laid_out(self) -> Flags:
        """Which series are read here; the others are loose."""
        return self.full | self.zero

    def decoded(self, numbers: Numbers, name_bytes: Places) -> Decoded:
        """Return the samples of those series that are known, by the number of each."""
        values = np.zeros(len(numbers))
        times_ms = np.zeros(len(numbers), dtype=np.int64)
        for layout, chosen in ((FULL, self.full), (ZERO, self.zero)):
            values[chosen], times_ms[chosen] = layout.read(self.data, self.starts[chosen])
        told = (numbers >= 0) & self.laid_out
        decoded = Decoded(numbers[told], values[told], times_ms[told], text_bytes=int(name_bytes[told].sum()))
        decoded.suppressed["rules"] += int(np.count_nonzero((numbers == SUPPRESSED) & self.laid_out))
        return decoded


def joined(decoded: Decoded, loose: Loose) -> Decoded:
    """Return what was decoded with the loose samples behind it."""
    first = len(decoded.series)
    decoded.series = np.concatenate([decoded.series, np.array(loose.series, dtype=np.int32)])
    # Through bytes a NaN would keep its payload as well; numpy copies doubles as they are.
    decoded.values = np.concatenate([decoded.values, np.array(loose.values, dtype=np.float64)])
    decoded.times_ms = np.concatenate([decoded.times_ms, np.array(loose.times_ms, dtype=np.int64)])
    decoded.histograms |= {first + at: histogram for at, histogram in loose.histograms.items()}
    return decoded


def take(raw: bytes, content: Content, number: int, decoded: Decoded, loose: Loose) -> None:
    """Add a series' samples under its number, and count what is left out of them."""
    decoded.suppressed["exemplar"] += content.exemplars
    if number == SUPPRESSED:
        decoded.suppressed["rules"] += len(content)
    else:
        decoded.suppressed["start-timestamp"] += content.into(raw, number, loose)


def _sample(raw: bytes, start: int, stop: int) -> tuple[float, int, bool]:
    value, time_ms, has_start = 0.0, 0, False
    for number, wire, at, end in fields(raw, start, stop):
        match number, wire:
            case 1, Wire.FIXED64:
                value = _double(raw, at)
            case 2, Wire.VARINT:
                time_ms = signed(varint(raw, at, end)[0])
            case 3, Wire.VARINT:
                has_start = True
            case 1 | 2 | 3, _:
                raise MalformedError(f"a sample's field {number} has the wire type {wire}")
    return value, time_ms, has_start


def _histogram(raw: bytes, start: int, stop: int) -> tuple[float, int, bool]:
    """Return a native histogram's count, time, and whether it has a start; the staleness marker is in its sum."""
    count, total, time_ms, has_start = 0.0, 0.0, 0, False
    for number, wire, at, end in fields(raw, start, stop):
        match number, wire:
            case 1, Wire.VARINT:
                count = float(varint(raw, at, end)[0])
            case 2, Wire.FIXED64:
                count = _double(raw, at)
            case 3, Wire.FIXED64:
                total = _double(raw, at)
            case 15, Wire.VARINT:
                time_ms = signed(varint(raw, at, end)[0])
            case 17, Wire.VARINT:
                has_start = True
            case 1 | 2 | 3 | 15 | 17, _:
                raise MalformedError(f"a histogram's field {number} has the wire type {wire}")
    is_stale = np.float64(total).view(np.uint64) == STALE_NAN
    return STALE if is_stale else count, time_ms, has_start


def _double(raw: bytes, at: int) -> float:
    return float(np.frombuffer(raw, "<f8", 1, at)[0])

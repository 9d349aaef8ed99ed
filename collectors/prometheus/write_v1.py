"""Remote write 1.0: `prometheus.WriteRequest` to columns. Pure, but for the catalogue that new series are added to.

Source: https://prometheus.io/docs/specs/prw/remote_write_spec/ and Prometheus's `prompb/remote.proto`.

Nearly every series of a request is known already and has one sample behind its labels. So it is told from others by
the bytes of its labels, without a look into them, and all samples are read at once by numpy.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from collectors.blocks import Numbers
from collectors.prometheus.catalogue import UNKNOWN, Catalogue, ClusterOf
from collectors.prometheus.labels import Labels, SeriesRefusedError, read
from collectors.prometheus.protobuf import MalformedError, Wire, fields, run
from collectors.prometheus.samples import (
    FULL,
    ZERO,
    Columns,
    Content,
    Decoded,
    Flags,
    Layout,
    Loose,
    Places,
    joined,
    take,
)

VERSION: Final = "1.0"

_SERIES_TAG: Final = 0x0A
_SERIES: Final = 1
_METADATA: Final = 3
_LABELS, _SAMPLES, _EXEMPLARS, _HISTOGRAMS = 1, 2, 3, 4
_NAME, _VALUE = 1, 2


def decode(raw: bytes, client: str, catalogue: Catalogue, cluster_of: ClusterOf, max_samples: int) -> Decoded:
    """Return the samples of a request.

    Args:
        raw: The message, decompressed.
        client: Who sent it.
        catalogue: Where series are known; new ones are added.
        cluster_of: Which cluster a series is of.
        max_samples: A request with more series or samples is refused.

    Raises:
        MalformedError: it is no such message, or has too many samples.

    """
    return _Reading(raw, client, catalogue, cluster_of, max_samples).decoded()


@dataclass(slots=True)
class _Reading:
    raw: bytes
    client: str
    catalogue: Catalogue
    cluster_of: ClusterOf
    max_samples: int

    def decoded(self) -> Decoded:
        starts, stops = self._series()
        data = np.frombuffer(self.raw, dtype=np.uint8)
        full = _ends_in(FULL, data, starts, stops)
        zero = _ends_in(ZERO, data, starts, stops) & ~full
        # If what lies before it is known, it is whole labels, and these bytes are a sample indeed.
        ends = stops - np.where(full, FULL.size, np.where(zero, ZERO.size, 0))
        numbers = self._known(starts, ends)
        columns = Columns(data, full & (numbers != UNKNOWN), zero & (numbers != UNKNOWN), ends)
        decoded = columns.decoded(numbers, ends - starts)
        loose = Loose()
        for at in np.flatnonzero(~columns.laid_out).tolist():
            self._look(int(starts[at]), int(stops[at]), decoded, loose)
        return joined(decoded, loose)

    def _series(self) -> tuple[Places, Places]:
        """Return the bounds of each series; other fields (metadata) are passed over."""
        raw, at = self.raw, 0
        starts: list[int] = []
        stops: list[int] = []
        while (at := run(raw, at, _SERIES_TAG, starts, stops)) < len(raw):
            number, wire, start, stop = next(fields(raw, at, len(raw)))
            if number > _METADATA:
                # Without this, a message of protocol 2.0 would be taken, and nothing of it.
                raise MalformedError(f"field {number} is none of prometheus.WriteRequest")
            if number == _SERIES:
                _expect(wire == Wire.BYTES, "a series")
                starts.append(start)
                stops.append(stop)
            at = stop
        if len(starts) > self.max_samples:
            raise MalformedError(f"{len(starts)} series in a request; at most {self.max_samples}: send fewer at a time")
        return np.array(starts, dtype=np.int64), np.array(stops, dtype=np.int64)

    def _known(self, starts: Places, ends: Places) -> Numbers:
        raw, get = self.raw, self.catalogue.known((self.client, VERSION)).get
        bounds = zip(starts.tolist(), ends.tolist(), strict=True)
        return np.array([get(raw[start:end], UNKNOWN) for start, end in bounds], dtype=np.int32)

    def _look(self, start: int, stop: int, decoded: Decoded, loose: Loose) -> None:
        """Read a series field by field."""
        named, content = self._split(start, stop)
        if len(loose.series) + len(content) > self.max_samples:
            raise MalformedError(f"more than {self.max_samples} samples in a request: send fewer at a time")
        key = self.client, VERSION
        number = self.catalogue.known(key).get(named, UNKNOWN)
        if number == UNKNOWN:
            try:
                number = self.catalogue.add(key, named, lambda: _labels(named), self.cluster_of)
            except SeriesRefusedError as error:
                decoded.refusals.add(error.reason, str(error), len(content))
                return
        take(self.raw, content, number, decoded, loose)

    def _split(self, start: int, stop: int) -> tuple[bytes, Content]:
        """Return the fields of a series' labels, as they are, and where its other parts lie."""
        raw, content = self.raw, Content()
        named: list[bytes] = []
        begun = start
        for number, wire, at, end in fields(raw, start, stop):
            if number in {_LABELS, _SAMPLES, _EXEMPLARS, _HISTOGRAMS}:
                _expect(wire == Wire.BYTES, "a part of a series")
            match number:
                case 1:
                    named.append(raw[begun:end])
                case 2:
                    content.samples.append((at, end))
                case 3:
                    content.exemplars += 1
                case 4:
                    content.histograms.append((at, end))
            begun = end
        return b"".join(named), content


def _ends_in(layout: Layout, data: np.ndarray[tuple[int], np.dtype[np.uint8]], starts: Places, stops: Places) -> Flags:
    """Return which series' last bytes are laid out so."""
    fits = stops - starts >= layout.size
    found = np.zeros(len(starts), dtype=bool)
    found[fits] = layout.found(data, stops[fits] - layout.size)
    return found


def _labels(named: bytes) -> Labels:
    return read(_pair(named, at, end) for _, _, at, end in fields(named, 0, len(named)))


def _pair(raw: bytes, start: int, stop: int) -> tuple[bytes, bytes]:
    name = value = b""
    for number, wire, at, end in fields(raw, start, stop):
        if number in {_NAME, _VALUE}:
            _expect(wire == Wire.BYTES, "a label")
            name, value = (raw[at:end], value) if number == _NAME else (name, raw[at:end])
    return name, value


def _expect(is_so: bool, what: str) -> None:
    if not is_so:
        raise MalformedError(f"{what} is no message")

"""Remote write 1.0: `prometheus.WriteRequest` to columns. Pure, but for the catalogue that new series are added to.

Source: https://prometheus.io/docs/specs/prw/remote_write_spec/ and Prometheus's `prompb/remote.proto`.

Nearly every series of a request is known already and has one sample behind its labels. So it is told from others by
the bytes of its labels, without a look into them, and all samples are read at once by numpy.
"""

from typing import Final

import numpy as np

from collectors.prometheus.catalogue import UNKNOWN, Catalogue, ClusterOf
from collectors.prometheus.labels import Labels, read
from collectors.prometheus.protobuf import MalformedError, expect_bytes, fields, run
from collectors.prometheus.samples import FULL, ZERO, Bytes, Columns, Content, Decoded, Flags, Layout, Places
from collectors.prometheus.write import Reading

VERSION: Final = "1.0"

_SERIES_TAG: Final = 0x0A
_SERIES: Final = 1
_METADATA: Final = 3
_LABELS, _SAMPLES, _EXEMPLARS, _HISTOGRAMS = 1, 2, 3, 4
_NAME, _VALUE = 1, 2


def decode(raw: bytes, client: str, catalogue: Catalogue, cluster_of: ClusterOf, max_samples: int) -> Decoded:
    """Return the samples of a request. Arguments and errors are those of `write.Reading`."""
    return _Reading(raw, client, catalogue, cluster_of, max_samples).decoded()


class _Reading(Reading[bytes]):
    version = VERSION

    def decoded(self) -> Decoded:
        starts, stops = self._series()
        data = np.frombuffer(self._raw, dtype=np.uint8)
        full = _ends_in(FULL, data, starts, stops)
        zero = _ends_in(ZERO, data, starts, stops) & ~full
        # If what lies before it is known, it is whole labels, and these bytes are a sample indeed.
        ends = stops - np.where(full, FULL.size, np.where(zero, ZERO.size, 0))
        numbers = self._known(self._raw, zip(starts.tolist(), ends.tolist(), strict=True))
        is_known = numbers != UNKNOWN
        return self._read(Columns(data, full & is_known, zero & is_known, ends), numbers, starts, stops)

    def _series(self) -> tuple[Places, Places]:
        """Return the bounds of each series; other fields (metadata) are passed over."""
        raw, at = self._raw, 0
        starts: list[int] = []
        stops: list[int] = []
        while (at := run(raw, at, _SERIES_TAG, starts, stops)) < len(raw):
            number, wire, start, stop = next(fields(raw, at, len(raw)))
            if number > _METADATA:
                # Without this, a message of protocol 2.0 would be taken, and nothing of it.
                raise MalformedError(f"field {number} is none of prometheus.WriteRequest")
            if number == _SERIES:
                expect_bytes(wire, "a series")
                starts.append(start)
                stops.append(stop)
            at = stop
        return self._bounds(starts, stops)

    def _parts(self, start: int, stop: int, content: Content) -> bytes:
        """Return the fields of a series' labels, as they are."""
        raw = self._raw
        named: list[bytes] = []
        begun = start
        for number, wire, at, end in fields(raw, start, stop):
            if _LABELS <= number <= _HISTOGRAMS:
                expect_bytes(wire, f"field {number} of a series")
            if number == _LABELS:
                named.append(raw[begun:end])
            elif number == _SAMPLES:
                content.samples.append((at, end))
            elif number == _EXEMPLARS:
                content.exemplars += 1
            elif number == _HISTOGRAMS:
                content.histograms.append((at, end))
            begun = end
        return b"".join(named)

    def _number(self, named: bytes) -> int:
        return self._known_or_new(named, lambda: _labels(named))


def _ends_in(layout: Layout, data: Bytes, starts: Places, stops: Places) -> Flags:
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
            expect_bytes(wire, "a label")
            name, value = (raw[at:end], value) if number == _NAME else (name, raw[at:end])
    return name, value

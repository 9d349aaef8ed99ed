"""Remote write 2.0: `io.prometheus.write.v2.Request` to columns. Pure, but for the catalogue of series.

Source: https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/ and `prompb/io/prometheus/write/v2/types.proto`.

Labels are numbers of the request's own table of symbols. They are exchanged for the catalogue's numbers of the same
texts, for all series at once, and a series is told from others by these.
"""

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from collectors.blocks import Numbers
from collectors.prometheus.catalogue import BY_SYMBOLS, TOO_LONG, UNKNOWN, Catalogue, ClusterOf
from collectors.prometheus.labels import Labels, SeriesRefusedError, read
from collectors.prometheus.protobuf import MalformedError, Wire, expect_bytes, fields, run, varint
from collectors.prometheus.samples import FULL, ZERO, Bytes, Columns, Content, Decoded, Flags, Layout, Places
from collectors.prometheus.write import Reading

VERSION: Final = BY_SYMBOLS

_SYMBOL_TAG, _SERIES_TAG = 0x22, 0x2A
_SYMBOLS, _SERIES = 4, 5
_LABELS_TAG, _METADATA_TAG = 0x0A, 0x2A
_PADDING: Final = bytes(32)
"""Behind the message, so that a look at a sample never leaves it."""
_MAX_REFERENCE_BYTES: Final = 5
_REFERENCE: Final = np.dtype("<u4")


def decode(raw: bytes, client: str, catalogue: Catalogue, cluster_of: ClusterOf, max_samples: int) -> Decoded:
    """Return the samples of a request. Arguments and errors are those of `write.Reading`."""
    return _Reading(raw, client, catalogue, cluster_of, max_samples).decoded()


@dataclass(slots=True)
class _Heads:
    """Of each series: where its references lie, and whether they and its one sample are laid out as most are."""

    stops: Places
    """Where its references end."""
    full: Flags
    zero: Flags


class _Reading(Reading[list[int]]):
    version = VERSION

    def __init__(self, raw: bytes, client: str, catalogue: Catalogue, cluster_of: ClusterOf, max_samples: int) -> None:
        super().__init__(raw, client, catalogue, cluster_of, max_samples)
        self._symbols = np.zeros(0, dtype=_REFERENCE)

    def decoded(self) -> Decoded:
        starts, stops = self._split()
        data = np.frombuffer(self._raw + _PADDING, dtype=np.uint8)
        heads = _heads(data, starts, stops)
        laid_out = np.flatnonzero(heads.full | heads.zero)
        numbers = np.full(len(starts), UNKNOWN, dtype=np.int32)
        numbers[laid_out] = self._known_by(data, starts[laid_out] + 2, heads.stops[laid_out])
        is_known = numbers != UNKNOWN
        columns = Columns(data, heads.full & is_known, heads.zero & is_known, heads.stops)
        return self._read(columns, numbers, starts, stops)

    def _split(self) -> tuple[Places, Places]:
        """Return the bounds of each series, and take in the symbols."""
        raw, at = self._raw, 0
        symbols: tuple[list[int], list[int]] = ([], [])
        series: tuple[list[int], list[int]] = ([], [])
        while at < len(raw):
            at = run(raw, at, _SYMBOL_TAG, *symbols)
            at = run(raw, at, _SERIES_TAG, *series)
            if at < len(raw) and raw[at] not in {_SYMBOL_TAG, _SERIES_TAG}:
                number, wire, start, at = next(fields(raw, at, len(raw)))
                if number < _SYMBOLS:
                    # Reserved, so that a message of protocol 1.0 is not taken for one of 2.0.
                    raise MalformedError(f"field {number} is none of io.prometheus.write.v2.Request")
                if number in {_SYMBOLS, _SERIES}:
                    expect_bytes(wire, "a symbol or series")
                    into = symbols if number == _SYMBOLS else series
                    into[0].append(start)
                    into[1].append(at)
        bounds = self._bounds(*series)
        if symbols[0] and symbols[0][0] != symbols[1][0]:
            raise MalformedError("the first symbol is not the empty one")
        number_of = self._catalogue.symbol
        texts = [number_of(raw[start:stop]) for start, stop in zip(*symbols, strict=True)]
        self._symbols = np.array(texts, dtype=_REFERENCE)
        return bounds

    def _known_by(self, data: Bytes, starts: Places, stops: Places) -> Numbers:
        """Return the numbers of series by their references, which lie between these bounds and end in them."""
        references, ends = _references(data, starts, stops)
        # What points outside the symbols is told when the series is looked at.
        is_inside = references < len(self._symbols)
        named = np.full(len(references), TOO_LONG, dtype=_REFERENCE)
        named[is_inside] = self._symbols[references[is_inside]]
        return self._known(named.tobytes(), itertools.pairwise([0, *(ends * _REFERENCE.itemsize).tolist()]))

    def _number(self, references: list[int]) -> int:
        if len(references) % 2:
            raise SeriesRefusedError("references", "a series has a label without a value: its references are odd")
        if references and max(references) >= len(self._symbols):
            raise SeriesRefusedError(
                "references", f"a series refers to symbol {max(references)}; there are {len(self._symbols)}"
            )
        symbols = self._symbols[references]
        if np.any(symbols == TOO_LONG):
            raise SeriesRefusedError("label-value", "a label's name or value is too long")
        return self._known_or_new(symbols.tobytes(), lambda: self._labels(symbols))

    def _labels(self, symbols: npt.NDArray[np.uint32]) -> Labels:
        texts = [self._catalogue.symbol_text(number) for number in symbols.tolist()]
        return read(zip(texts[::2], texts[1::2], strict=True))

    def _parts(self, start: int, stop: int, content: Content) -> list[int]:
        """Return a series' references to symbols; its metadata is passed over."""
        raw = self._raw
        references: list[int] = []
        for number, wire, at, end in fields(raw, start, stop):
            match number, wire:
                case 1, Wire.BYTES:
                    while at < end:
                        reference, at = varint(raw, at, end)  # noqa: PLW2901  from one to the next
                        references.append(reference)
                case 1, Wire.VARINT:
                    references.append(varint(raw, at, end)[0])
                case 2, Wire.BYTES:
                    content.samples.append((at, end))
                case 3, Wire.BYTES:
                    content.histograms.append((at, end))
                case 4, Wire.BYTES:
                    content.exemplars += 1
                case 1 | 2 | 3 | 4 | 5, _:
                    expect_bytes(wire, f"field {number} of a series")
        if not content:
            raise SeriesRefusedError("no-samples", "a series has neither samples nor histograms")
        return references


def _heads(data: Bytes, starts: Places, stops: Places) -> _Heads:
    """Return how each series begins; `data` is padded."""
    sizes = data[starts + 1].astype(np.int64)
    ends = starts + 2 + sizes
    is_plain = (data[starts] == _LABELS_TAG) & (sizes > 0) & (sizes < 0x80) & (ends < stops)  # noqa: PLR2004  one byte
    # The last byte of the references must end one.
    is_plain &= data[np.where(is_plain, ends - 1, 0)] < 0x80  # noqa: PLR2004
    full, zero = (_ended_by(layout, data, np.where(is_plain, ends, 0), stops) & is_plain for layout in (FULL, ZERO))
    return _Heads(ends, full, zero)


def _ended_by(layout: Layout, data: Bytes, starts: Places, stops: Places) -> Flags:
    """Return which series have a sample of this layout there, and nothing but metadata behind it."""
    ends = starts + layout.size
    fits = ends <= stops
    ends = np.where(fits, ends, 0)
    has_metadata = (data[ends] == _METADATA_TAG) & (data[ends + 1] < 0x80) & (ends + 2 + data[ends + 1] == stops)  # noqa: PLR2004
    fits &= (ends == stops) | has_metadata
    found = np.zeros(len(starts), dtype=bool)
    found[fits] = layout.found(data, starts[fits])
    return found


def _references(data: Bytes, starts: Places, stops: Places) -> tuple[npt.NDArray[np.uint64], Places]:
    """Return the numbers written between these bounds, one range after another, and where those of each range end."""
    sizes = stops - starts
    lasts = np.cumsum(sizes)
    total = int(lasts[-1]) if len(lasts) else 0
    written = data[np.repeat(starts - (lasts - sizes), sizes) + np.arange(total)]
    ends = np.flatnonzero(written < 0x80)  # noqa: PLR2004  the byte that ends a number
    begins = np.concatenate([np.zeros(min(1, len(ends)), dtype=np.int64), ends[:-1] + 1])
    lengths = ends - begins + 1
    if len(lengths) and lengths.max() > _MAX_REFERENCE_BYTES:
        raise MalformedError("a reference has more than five bytes")
    numbers = (written[begins] & 0x7F).astype(np.uint64)
    for place in range(1, int(lengths.max(initial=1))):
        longer = lengths > place
        numbers[longer] |= (written[begins[longer] + place] & 0x7F).astype(np.uint64) << np.uint64(7 * place)
    return numbers, np.searchsorted(ends, lasts - 1, side="right")

"""Frames into sums: a run of frames added up by columns and dictionary codes, without a look at any row.

A run's frames are counted in blocks of some ten thousand rows, so that small frames cost little more than large ones
and what is worked on stays in the processor's cache. Of every row, the codes of its cluster and namespace lead to its
place, and that of its combination of type, reason and kind tells whether it is a Warning. All else is looked at of
Warnings only. Words are looked up once a run, with the dictionaries of all its frames put end to end (`_Words`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from abdrift.columns import Numbers, Sent, Text, together
from streams.rates import keys
from streams.rates.labels import REFUSED
from streams.rates.packing import Ints
from streams.rates.sums import STAMP_BITS, Heard, Moments, Sums, grouped, heard_of, moments_of, places_of
from streams.rates.vocabulary import MISPLACED, Vocabulary

COLUMNS: Final = ("cluster", "namespace", "type", "reason", "object_kind", "object_name", "count", "last_ms")
"""What is read of a frame of Events."""

BEAT_MS: Final = 5_000
"""Frames of one beat of append time are judged together: half as long as health waits before it believes a change."""
SKEW_MS: Final = 60_000
"""An event time may be so far after its append time; what is beyond is set back to that."""

_WARNING: Final = "Warning"
_DENSE: Final = 1 << 22
"""So many sums are kept side by side, by code; more are sorted out by their codes."""
_BLOCK_ROWS: Final = 8_192
_REACH_MS: Final = (keys.MINUTES - 16) * keys.MINUTE_MS
Codes = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows to count: a frame's columns as they were sent, which of its rows, and when they were appended."""

    columns: Mapping[str, Sent]
    rows: slice
    append_ms: int

    def text(self, name: str) -> Text:
        """Return a text column, of all of the frame's rows."""
        column = self.columns[name]
        assert isinstance(column, Text), "the signal says so, and decoding has seen to it"
        return column

    def numbers(self, name: str) -> Numbers:
        """Return a column of integers, of all of the frame's rows."""
        column = self.columns[name]
        assert isinstance(column, Numbers), "the signal says so, and decoding has seen to it"
        return column


def count(pieces: Sequence[Piece], vocabulary: Vocabulary) -> Sums:
    """Return what the rows of one beat's frames add up to. Words that are new get numbers."""
    return _Run(pieces, vocabulary).sums() if pieces else Sums()


class _Block:
    """Some frames of a run whose rows are worked on together."""

    def __init__(self, frames: slice, sizes: Sequence[int]) -> None:
        self.frames = frames
        self._frame_of_row = np.repeat(np.arange(len(sizes)), sizes) if len(sizes) > 1 else None

    def by_row(self, by_frame: Ints, rows: Ints | None = None) -> Ints:
        """Return what is given by the run's frames for each row, or some; a single value where all have the same."""
        of_block = by_frame[self.frames]
        if self._frame_of_row is None:
            return of_block
        return of_block[self._frame_of_row if rows is None else self._frame_of_row[rows]]


def _blocks(pieces: Sequence[Piece]) -> Iterator[_Block]:
    """Cut a run into blocks: each ends with the frame that fills it."""
    sizes = [piece.rows.stop - piece.rows.start for piece in pieces]
    first = rows = 0
    for number, size in enumerate(sizes):
        rows += size
        if rows >= _BLOCK_ROWS or number == len(sizes) - 1:
            yield _Block(slice(first, number + 1), sizes[first : number + 1])
            first, rows = number + 1, 0


class _Column:
    """One column of a run. Each frame tells integers from an offset of its own: distances from a base, or codes."""

    def __init__(self, by_frame: Sequence[Codes], offsets: Sequence[int] | Ints) -> None:
        self._by_frame = by_frame
        self._offsets = np.asarray(offsets, dtype=np.int64)

    def of(self, block: _Block, rows: Ints | None = None) -> Ints:
        """Return the values of a block's rows, or of some of them."""
        told = self._by_frame[block.frames]
        joined = told[0] if len(told) == 1 else np.concatenate(told)
        values: Ints = (joined if rows is None else joined[rows]) + block.by_row(self._offsets, rows)
        return values


class _Words:
    """One text column of a run. Its frames' dictionaries stand end to end; an *entry* is a place in them."""

    def __init__(self, by_frame: Sequence[pa.Array]) -> None:
        self.entries: pa.Array = by_frame[0] if len(by_frame) == 1 else pa.concat_arrays(by_frame)
        sizes = list(map(len, by_frame))
        self.begins: Ints = np.cumsum(sizes) - np.array(sizes)

    def numbered(self, needed: Ints | None = None) -> tuple[pa.Array, Ints]:
        """Return the distinct words, and by entry the code of its word; of the needed entries only, where given."""
        encoded = (self.entries if needed is None else self.entries.take(pa.array(needed))).dictionary_encode()
        codes = np.asarray(encoded.indices, dtype=np.int64)
        if needed is not None:
            some, codes = codes, np.zeros(len(self.entries), dtype=np.int64)
            codes[needed] = some
        return encoded.dictionary, codes


def _joint(piece: Piece, names: Sequence[str]) -> tuple[list[pa.Array], Codes]:
    """Return the words of text columns by codes that they have in common, and their rows' codes."""
    texts = [piece.text(name) for name in names]
    words, codes = [text.words for text in texts], texts[0].codes
    if any(text.codes is not codes for text in texts):
        codes, own = together([(text.codes, len(text.words)) for text in texts])
        words = [of_one.take(pa.array(entries)) for of_one, entries in zip(words, own, strict=True)]
    return words, codes[piece.rows]


@dataclass(frozen=True, slots=True)
class _Warnings:
    """Columns of Warnings: code of the place, entries of the sort and the name, count, event time."""

    place: Ints
    sort: Ints
    name: Ints
    count: Ints
    event_ms: Ints


class _Run:
    """One run of frames, being added up.

    A place's code puts those of its cluster and namespace together, an object's those of its kind and name. A *sort* is
    a combination of type, reason and kind.
    """

    def __init__(self, pieces: Sequence[Piece], vocabulary: Vocabulary) -> None:
        self._pieces = pieces
        self._vocabulary = vocabulary
        self._refused: dict[str, int] = {}
        self._append_ms = np.array([piece.append_ms for piece in pieces])
        self._columns = {name: _numbers(pieces, name) for name in ("count", "last_ms")}
        words = {name: self._add_text(name) for name in ("cluster", "namespace", "object_name")}
        self._add_sorts()
        self._names = words["object_name"]
        clusters, cluster_codes = words["cluster"].numbered()
        namespaces, namespace_codes = words["namespace"].numbered()
        self._across = max(1, len(namespaces))
        self._by_place = cluster_codes * self._across, namespace_codes
        self._clusters = vocabulary.cluster_numbers(clusters.to_pylist())
        self._namespaces = vocabulary.namespace_numbers(namespaces.to_pylist())
        self._ahead = np.zeros(len(clusters), dtype=np.int64)

    def _add_text(self, name: str) -> _Words:
        texts = [piece.text(name) for piece in self._pieces]
        words = _Words([text.words for text in texts])
        codes = [text.codes[piece.rows] for text, piece in zip(texts, self._pieces, strict=True)]
        self._columns[name] = _Column(codes, words.begins)
        return words

    def _add_sorts(self) -> None:
        joint = [_joint(piece, ("type", "reason", "object_kind")) for piece in self._pieces]
        types, reasons, kinds = (_Words(by_frame) for by_frame in zip(*(words for words, _ in joint), strict=True))
        self._columns["sort"] = _Column([codes for _, codes in joint], types.begins)
        self._is_warning = np.asarray(pc.equal(types.entries, _WARNING).to_numpy(zero_copy_only=False))
        distinct, codes = reasons.numbered()
        self._tags = self._vocabulary.tags(distinct.to_pylist())[codes]
        self._kinds, self._kind_codes = kinds.numbered()

    def sums(self) -> Sums:
        totals = _Totals(len(self._clusters) * self._across)
        found: list[_Warnings] = []
        for block in _blocks(self._pieces):
            place = self._by_place[0].take(self._columns["cluster"].of(block))
            place += self._by_place[1].take(self._columns["namespace"].of(block))
            counts = self._columns["count"].of(block)
            if counts.min() < 0:
                counts = np.maximum(counts, 0)
            totals.add(place, counts)
            found.append(self._warnings(block, place, counts))
        return self._summed(totals, _joined(found))

    def _warnings(self, block: _Block, place: Ints, counts: Ints) -> _Warnings:
        """Return the columns of a block's Warnings."""
        sort = self._columns["sort"].of(block)
        rows = np.flatnonzero(self._is_warning.take(sort))
        count = counts[rows]
        if not count.all():
            rows, count = rows[count > 0], count[count > 0]
        name, event_ms = (self._columns[column].of(block, rows) for column in ("object_name", "last_ms"))
        taken = _Warnings(place[rows], sort[rows], name, count, event_ms)
        return self._timed(taken, block.by_row(self._append_ms, rows))

    def _timed(self, taken: _Warnings, append_ms: Ints) -> _Warnings:
        """Set back what is ahead of its append time, and leave out what is half a year behind it."""
        ahead = taken.event_ms > append_ms + SKEW_MS
        if ahead.any():
            np.add.at(self._ahead, taken.place[ahead] // self._across, taken.count[ahead])
            event_ms = np.minimum(taken.event_ms, append_ms + SKEW_MS)
            taken = _Warnings(taken.place, taken.sort, taken.name, taken.count, event_ms)
        kept = taken.event_ms >= append_ms - _REACH_MS
        if not kept.all():
            self._refuse("ancient", taken.count[~kept])
            taken = _chosen(taken, kept)
        return taken

    def _summed(self, totals: "_Totals", taken: _Warnings) -> Sums:
        of_warnings = _Totals(totals.size)
        of_warnings.add(taken.place, taken.count)
        codes, events = totals.sums()
        places, refused = self._placed(codes)
        for reason, there in refused.items():
            self._refuse(reason, events[there])
        kept = places >= 0
        warnings = np.zeros(len(codes), dtype=np.int64)
        warned, sums = of_warnings.sums()
        warnings[np.searchsorted(codes, warned)] = sums
        heard = self._heard(taken, codes)
        moments = self._moments(taken, _looked_up(taken.place, codes, places, totals.size))
        return Sums(places_of(places[kept], events[kept], warnings[kept]), moments, heard, self._refused)

    def _placed(self, codes: Ints) -> tuple[Ints, dict[str, npt.NDArray[np.bool_]]]:
        """Return the keys of places by their codes, -1 where they are refused, and which are refused for what."""
        cluster, namespace = self._clusters[codes // self._across], self._namespaces[codes % self._across]
        refused = {
            "misplaced": cluster == MISPLACED,
            "clusters-full": cluster == REFUSED,
            "namespaces-full": (cluster >= 0) & (namespace == REFUSED),
        }
        places = np.where((cluster >= 0) & (namespace >= 0), keys.place(cluster, namespace), -1)
        return places, {reason: there for reason, there in refused.items() if there.any()}

    def _moments(self, taken: _Warnings, places: Ints) -> Moments:
        if (places < 0).any():
            # Refused with the totals already.
            taken, places = _chosen(taken, places >= 0), places[places >= 0]
        labels = self._labels(taken)
        if (labels < 0).any():
            self._refuse("workloads-full", taken.count[labels < 0])
            taken, places, labels = _chosen(taken, labels >= 0), places[labels >= 0], labels[labels >= 0]
        moments = keys.moment(keys.workload(places, labels), taken.event_ms // keys.MINUTE_MS)
        return moments_of(moments, taken.count, taken.event_ms << STAMP_BITS | self._tags[taken.sort])

    def _labels(self, taken: _Warnings) -> Ints:
        """Return the numbers of the workloads that Warnings are about: each distinct one is looked up once."""
        if not len(taken.name):
            return taken.name
        # Of a thousand Pods' names few have a Warning.
        names, name_codes = self._names.numbered(_distinct(taken.name, len(self._names.entries)))
        about = (self._kind_codes * len(names))[taken.sort] + name_codes[taken.name]
        size = len(self._kinds) * len(names)
        distinct = _distinct(about, size)
        return _looked_up(about, distinct, self._numbers(distinct, names), size)

    def _numbers(self, about: Ints, names: pa.Array) -> Ints:
        """Return the numbers of workloads by their codes, ascending."""
        kind, name = about // len(names), about % len(names)
        spelt = names.take(pa.array(name)).to_pylist()
        ends = np.searchsorted(kind, np.arange(len(self._kinds)), side="right").tolist()
        numbers: list[int] = []
        for word, end in zip(self._kinds.to_pylist(), ends, strict=True):
            if end > len(numbers):
                numbers += self._vocabulary.workload_numbers(word, spelt[len(numbers) : end])
        return np.array(numbers, dtype=np.int64)

    def _heard(self, taken: _Warnings, codes: Ints) -> Heard:
        """Return what is heard of the clusters that have rows."""
        newest_ms = np.zeros(len(self._clusters), dtype=np.int64)
        np.maximum.at(newest_ms, taken.place // self._across, taken.event_ms)
        present = np.zeros(len(self._clusters), dtype=bool)
        present[codes // self._across] = True
        there = np.flatnonzero(present & (self._clusters >= 0))
        beat_ms = self._pieces[0].append_ms // BEAT_MS * BEAT_MS
        heard_ms, event_ms = np.full(len(there), beat_ms), newest_ms[there]
        return heard_of(
            self._clusters[there], heard_ms, np.where(event_ms > 0, beat_ms, 0), event_ms, self._ahead[there]
        )

    def _refuse(self, reason: str, counts: Ints) -> None:
        self._refused[reason] = self._refused.get(reason, 0) + int(counts.sum())


def _numbers(pieces: Sequence[Piece], name: str) -> _Column:
    numbers = [piece.numbers(name) for piece in pieces]
    distances = [one.distances[piece.rows] for one, piece in zip(numbers, pieces, strict=True)]
    return _Column(distances, [one.base for one in numbers])


def _distinct(codes: Ints, size: int) -> Ints:
    """Return which codes, all of them below `size`, there are; ascending."""
    if size > _DENSE:
        return np.unique(codes)
    there = np.zeros(size, dtype=bool)
    there[codes] = True
    return np.flatnonzero(there)


def _looked_up(wanted: Ints, codes: Ints, told: Ints, size: int) -> Ints:
    """Return what is told by code for the codes wanted; `codes` ascend, all of them below `size`."""
    if size > _DENSE:
        found: Ints = told[np.searchsorted(codes, wanted)]
        return found
    by_code = np.empty(size, dtype=np.int64)
    by_code[codes] = told
    return by_code.take(wanted)


class _Totals:
    """Sums by code, below `size`: side by side where there are few codes, sorted out where there are many."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._sums = np.zeros(size, dtype=np.int64) if size <= _DENSE else None
        self._waiting: list[tuple[Ints, Codes]] = []
        self._rows = 0

    def add(self, codes: Ints, counts: Codes) -> None:
        """Add counts by code."""
        self._waiting.append((codes, counts))
        self._rows += len(codes)
        if self._sums is not None and self._rows >= self.size:
            self._sum_up(self._sums)

    def sums(self) -> tuple[Ints, Ints]:
        """Return the codes, ascending, that have a sum, with their sums."""
        if self._sums is not None:
            self._sum_up(self._sums)
            codes = np.flatnonzero(self._sums)
            return codes, self._sums[codes]
        codes, counts = (np.concatenate(same) for same in zip(*self._waiting, strict=True))
        order, begins = grouped(codes)
        sums = np.add.reduceat(counts[order].astype(np.int64), begins)
        return codes[order[begins]][sums > 0], sums[sums > 0]

    def _sum_up(self, sums: Ints) -> None:
        if not self._waiting:
            return
        codes, counts = (
            self._waiting[0]
            if len(self._waiting) == 1
            else tuple(map(np.concatenate, zip(*self._waiting, strict=True)))
        )
        # Whole numbers below 2⁵³ are exact in the floats that bincount adds.
        sums += np.bincount(codes, counts, minlength=self.size).astype(np.int64)
        self._waiting.clear()
        self._rows = 0


def _joined(found: Sequence[_Warnings]) -> _Warnings:
    columns = ([getattr(one, name) for one in found] for name in _Warnings.__slots__)
    return _Warnings(*map(np.concatenate, columns))


def _chosen(taken: _Warnings, which: npt.NDArray[np.bool_]) -> _Warnings:
    return _Warnings(*(getattr(taken, name)[which] for name in _Warnings.__slots__))

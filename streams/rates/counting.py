"""Frames into sums: a run of frames added up by columns and dictionary codes, without a look at any row.

The dictionaries of all frames of a run are put together first, so that each word is looked up once a run; then a
frame's indices become numbers by one lookup each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streams.rates import keys
from streams.rates.labels import REFUSED
from streams.rates.packing import Ints
from streams.rates.sums import STAMP_BITS, Heard, Moments, Sums, grouped, heard_of, moments_of, places_of
from streams.rates.vocabulary import MISPLACED, Vocabulary

COLUMNS: Final = ("cluster", "namespace", "type", "reason", "object_kind", "object_name", "count", "last_ms")
"""What is read of a frame of Events, in this order."""

BEAT_MS: Final = 5_000
"""Frames of one beat of append time are judged together: half as long as health waits before it believes a change."""
SKEW_MS: Final = 60_000
"""An event time may be so far after its append time; what is beyond is set back to that."""

_TEXTS: Final = 6
_COUNT, _LAST_MS = 6, 7
_WARNING: Final = "Warning"
_DENSE: Final = 1 << 22
"""So many sums are kept side by side, by code; more are sorted out by their codes."""
_REACH_MS: Final = (keys.MINUTES - 16) * keys.MINUTE_MS
Codes = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows to count: columns as `COLUMNS` names them, and when they were appended."""

    rows: pa.RecordBatch
    append_ms: int


def count(pieces: Sequence[Piece], vocabulary: Vocabulary) -> Sums:
    """Return what the rows of one beat's frames add up to. Words that are new get numbers."""
    return _Run(pieces, vocabulary).sums() if pieces else Sums()


def _some(column: pa.DictionaryArray, rows: Ints) -> pa.DictionaryArray:
    """Return a column's rows with just their entries: of a thousand Pods' names few have a Warning."""
    indices = np.asarray(column.indices)[rows]
    used = np.zeros(len(column.dictionary), dtype=bool)
    used[indices] = True
    needed = np.flatnonzero(used)
    codes = np.empty(len(used), dtype=np.int32)
    codes[needed] = np.arange(len(needed), dtype=np.int32)
    entries = column.dictionary.take(pa.array(needed))
    return pa.DictionaryArray.from_arrays(pa.array(codes[indices]), entries, safe=False)


def _encoded(column: pa.Array) -> pa.DictionaryArray:
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def _positive(counts: pa.Array) -> Codes:
    values = np.asarray(counts)
    return values if values.min() >= 0 else np.maximum(values, 0)


class _Words:
    """One text column of a run: its distinct words, and by frame the code of each entry of its dictionary."""

    def __init__(self, columns: Sequence[pa.DictionaryArray]) -> None:
        entries = [column.dictionary for column in columns]
        encoded = (entries[0] if len(entries) == 1 else pa.concat_arrays(entries)).dictionary_encode()
        self.dictionary: pa.Array = encoded.dictionary
        self.indices: list[Codes] = [np.asarray(column.indices) for column in columns]
        self._codes = np.asarray(encoded.indices)
        self._ends = np.cumsum([len(one) for one in entries])

    def __len__(self) -> int:
        return len(self.dictionary)

    @property
    def words(self) -> list[str]:
        """All words, by code."""
        words: list[str] = self.dictionary.to_pylist()
        return words

    def codes(self, step: int = 1) -> Ints:
        """Return multiples of a step, by word."""
        return np.arange(0, len(self) * step, step)

    def of_entries(self, frame: int, by_word: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return for each entry of a frame's dictionary what is given by word."""
        begin = self._ends[frame - 1] if frame else 0
        taken: npt.NDArray[Any] = by_word[self._codes[begin : self._ends[frame]]]
        return taken


@dataclass(frozen=True, slots=True)
class _Warnings:
    """Columns of Warnings: code of the place, code of the object, tag of the reason, count, event time."""

    place: Ints
    about: Ints
    tag: Ints
    count: Ints
    event_ms: Ints


class _Run:
    """One run of frames, being added up. A place's and an object's code puts those of two words together."""

    def __init__(self, pieces: Sequence[Piece], vocabulary: Vocabulary) -> None:
        self._pieces = pieces
        self._vocabulary = vocabulary
        self._refused: dict[str, int] = {}
        texts = [[_encoded(piece.rows.column(at)) for piece in pieces] for at in range(_TEXTS)]
        names = texts.pop()
        self._cluster, self._namespace, self._type, self._reason, self._kind = map(_Words, texts)
        self._is_warning = np.array([word == _WARNING for word in self._type.words])
        self._counts = [_positive(piece.rows.column(_COUNT)) for piece in pieces]
        self._rows = list(map(self._rows_of_warnings, range(len(pieces))))
        self._name = _Words(list(map(_some, names, self._rows)))
        """Of Warnings alone: their rows are those of `_rows`."""
        self._by_place = self._cluster.codes(max(1, len(self._namespace))), self._namespace.codes()
        self._by_object = self._kind.codes(max(1, len(self._name))), self._name.codes()
        self._clusters = vocabulary.cluster_numbers(self._cluster.words)
        self._namespaces = vocabulary.namespace_numbers(self._namespace.words)
        self._tags = vocabulary.tags(self._reason.words)
        self._ahead = np.zeros(len(self._cluster), dtype=np.int64)

    def sums(self) -> Sums:
        totals = _Totals(len(self._cluster) * len(self._namespace))
        found: list[_Warnings] = []
        for frame, piece in enumerate(self._pieces):
            clusters, namespaces = self._cluster, self._namespace
            place = clusters.of_entries(frame, self._by_place[0])[clusters.indices[frame]]
            place += namespaces.of_entries(frame, self._by_place[1])[namespaces.indices[frame]]
            totals.add(place, self._counts[frame])
            found.append(self._timed(self._warnings(frame, place), piece.append_ms))
        return self._summed(totals, _joined(found))

    def _warnings(self, frame: int, place: Ints) -> _Warnings:
        """Return the columns of a frame's Warnings."""
        kinds, names, reasons, rows = self._kind, self._name, self._reason, self._rows[frame]
        about = kinds.of_entries(frame, self._by_object[0])[kinds.indices[frame][rows]]
        about += names.of_entries(frame, self._by_object[1])[names.indices[frame]]
        tag = reasons.of_entries(frame, self._tags)[reasons.indices[frame][rows]]
        event_ms = np.asarray(self._pieces[frame].rows.column(_LAST_MS))[rows]
        return _Warnings(place[rows], about, tag, self._counts[frame][rows].astype(np.int64), event_ms)

    def _rows_of_warnings(self, frame: int) -> Ints:
        entries = np.flatnonzero(self._type.of_entries(frame, self._is_warning))
        indices, counts = self._type.indices[frame], self._counts[frame]
        if len(entries) == 1:
            rows = np.flatnonzero(indices == indices.dtype.type(entries[0]))
        else:
            rows = np.flatnonzero(np.isin(indices, entries))
        counted = counts[rows] > 0
        return rows if counted.all() else rows[counted]

    def _timed(self, taken: _Warnings, append_ms: int) -> _Warnings:
        """Set back what is ahead of its append time, and leave out what is half a year behind it."""
        latest_ms = append_ms + SKEW_MS
        if not len(taken.event_ms):
            return taken
        if int(taken.event_ms.max()) > latest_ms:
            ahead = taken.event_ms > latest_ms
            np.add.at(self._ahead, taken.place[ahead] // max(1, len(self._namespace)), taken.count[ahead])
            event_ms = np.minimum(taken.event_ms, latest_ms)
            taken = _Warnings(taken.place, taken.about, taken.tag, taken.count, event_ms)
        if int(taken.event_ms.min()) < append_ms - _REACH_MS:
            kept = taken.event_ms >= append_ms - _REACH_MS
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
        moments = self._moments(taken)
        return Sums(places_of(places[kept], events[kept], warnings[kept]), moments, heard, self._refused)

    def _placed(self, codes: Ints) -> tuple[Ints, dict[str, npt.NDArray[np.bool_]]]:
        """Return the keys of places by their codes, -1 where they are refused, and which are refused for what."""
        across = max(1, len(self._namespace))
        cluster, namespace = self._clusters[codes // across], self._namespaces[codes % across]
        refused = {
            "misplaced": cluster == MISPLACED,
            "clusters-full": cluster == REFUSED,
            "namespaces-full": (cluster >= 0) & (namespace == REFUSED),
        }
        places = np.where((cluster >= 0) & (namespace >= 0), keys.place(cluster, namespace), -1)
        return places, {reason: there for reason, there in refused.items() if there.any()}

    def _moments(self, taken: _Warnings) -> Moments:
        places, _ = self._placed(taken.place)
        if (places < 0).any():
            # Refused with the totals already.
            taken, places = _chosen(taken, places >= 0), places[places >= 0]
        labels = self._labels(taken.about)
        if (labels < 0).any():
            self._refuse("workloads-full", taken.count[labels < 0])
            taken, places, labels = _chosen(taken, labels >= 0), places[labels >= 0], labels[labels >= 0]
        moments = keys.moment(keys.workload(places, labels), taken.event_ms // keys.MINUTE_MS)
        return moments_of(moments, taken.count, taken.event_ms << STAMP_BITS | taken.tag)

    def _labels(self, about: Ints) -> Ints:
        """Return the numbers of workloads by their codes: each distinct one is looked up once."""
        size = len(self._kind) * len(self._name)
        if not len(about):
            return about
        if size <= _DENSE:
            present = np.zeros(size, dtype=bool)
            present[about] = True
            distinct = np.flatnonzero(present)
            numbers = np.empty(size, dtype=np.int64)
            numbers[distinct] = self._numbers(distinct)
            return numbers[about]
        distinct, back = np.unique(about, return_inverse=True)
        return self._numbers(distinct)[back]

    def _numbers(self, about: Ints) -> Ints:
        """Return the numbers of workloads by their codes, ascending. Only Warnings' names are looked at."""
        kind, name = about // len(self._name), about % len(self._name)
        names = self._name.dictionary.take(pa.array(name)).to_pylist()
        ends = np.searchsorted(kind, np.arange(len(self._kind)), side="right").tolist()
        numbers: list[int] = []
        for word, end in zip(self._kind.words, ends, strict=True):
            if end > len(numbers):
                numbers += self._vocabulary.workload_numbers(word, names[len(numbers) : end])
        return np.array(numbers, dtype=np.int64)

    def _heard(self, taken: _Warnings, codes: Ints) -> Heard:
        """Return what is heard of the clusters that have rows."""
        across = max(1, len(self._namespace))
        newest_ms = np.zeros(len(self._cluster), dtype=np.int64)
        np.maximum.at(newest_ms, taken.place // across, taken.event_ms)
        present = np.zeros(len(self._cluster), dtype=bool)
        present[codes // across] = True
        there = np.flatnonzero(present & (self._clusters >= 0))
        beat_ms = self._pieces[0].append_ms // BEAT_MS * BEAT_MS
        heard_ms, event_ms = np.full(len(there), beat_ms), newest_ms[there]
        return heard_of(
            self._clusters[there], heard_ms, np.where(event_ms > 0, beat_ms, 0), event_ms, self._ahead[there]
        )

    def _refuse(self, reason: str, counts: Ints) -> None:
        self._refused[reason] = self._refused.get(reason, 0) + int(counts.sum())


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

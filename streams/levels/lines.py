"""Frames of log lines into counts by workload and minute, by columns and dictionary codes, without a look at any row.

A line is about its workload; without one about its Pod's, without that about its node, without that about its cluster.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from abdrift.signals.logs import Severity
from streams.levels.columns import Text, distinct
from streams.levels.rings import Bools
from streams.levels.sampling import SKEW_MS
from streams.rates import keys
from streams.rates.labels import REFUSED
from streams.rates.packing import Ints
from streams.rates.sums import grouped
from streams.rates.vocabulary import MISPLACED, Vocabulary
from streams.rates.windows import KEPT_MINUTES

COLUMNS: Final = ("cluster", "namespace", "workload_kind", "workload", "pod", "node", "severity", "time_ms")
"""What is read of a frame of logs, in this order."""
_ERRORS: Final = (Severity.ERROR, Severity.FATAL)
_NONE: Final[Ints] = np.zeros(0, dtype=np.int64)


class Lines(msgspec.Struct, frozen=True):
    """By workload and minute, as `keys.moment` puts them together, ascending: all lines, and those of errors."""

    keys: Ints = _NONE
    lines: Ints = _NONE
    errors: Ints = _NONE


class Counted(msgspec.Struct, frozen=True):
    """What a frame of logs comes to."""

    lines: Lines
    clusters: Ints
    """By cluster's number: its lines."""
    refused: dict[str, int]


def read(batch: pa.RecordBatch, vocabulary: Vocabulary, now_ms: int) -> Counted:
    """Return what a frame's rows add up to. Words that are new get numbers."""
    return _Frame(batch, vocabulary).read(now_ms)


def added(parts: Sequence[Lines]) -> Lines:
    """Return the counts of several together."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Lines()
    return _summed(*(np.concatenate([getattr(one, name) for one in parts]) for name in Lines.__struct_fields__))


def _summed(moments: Ints, lines: Ints, errors: Ints) -> Lines:
    if not len(moments):
        return Lines()
    order, begins = grouped(moments)
    return Lines(moments[order[begins]], np.add.reduceat(lines[order], begins), np.add.reduceat(errors[order], begins))


class _Frame:
    def __init__(self, batch: pa.RecordBatch, vocabulary: Vocabulary) -> None:
        *texts, self._times = batch.columns
        self._cluster, namespace, kind, workload, pod, node, self._severity = map(Text.of, texts)
        subjects = _subjects(namespace, kind, workload, (("Pod", pod), ("Node", node)))
        self._namespace, self._kind, self._name = subjects
        self._vocabulary = vocabulary
        self._refused: dict[str, int] = {}

    def read(self, now_ms: int) -> Counted:
        places = self._places()
        clusters = np.bincount(keys.cluster_of_place(places[places >= 0]))
        rows = self._kept(places, now_ms)
        labels = self._labels(self._kind.codes[rows], self._name.codes[rows])
        full = labels < 0
        if full.any():
            self._refuse("workloads-full", full)
            rows, labels = rows[~full], labels[~full]
        # What is ahead of the clock by little happened now.
        minutes = np.minimum(np.asarray(self._times)[rows], now_ms) // keys.MINUTE_MS
        moments = keys.moment(keys.workload(places[rows], labels), minutes)
        is_error = np.array([word.lower() in _ERRORS for word in self._severity.listed()], dtype=np.int64)
        errors = is_error[self._severity.codes[rows]]
        return Counted(_summed(moments, np.ones(len(rows), dtype=np.int64), errors), clusters, self._refused)

    def _places(self) -> Ints:
        """Return each row's namespace in its cluster, -1 where it is refused."""
        clusters = self._vocabulary.cluster_numbers(self._cluster.listed())
        namespaces = self._vocabulary.namespace_numbers(self._namespace.listed())
        of_cluster, of_namespace = clusters[self._cluster.codes], namespaces[self._namespace.codes]
        if not (clusters < 0).any() and not (namespaces < 0).any():
            return keys.place(of_cluster, of_namespace)
        self._refuse("misplaced", of_cluster == MISPLACED)
        self._refuse("clusters-full", of_cluster == REFUSED)
        self._refuse("namespaces-full", (of_cluster >= 0) & (of_namespace < 0))
        return np.where((of_cluster < 0) | (of_namespace < 0), -1, keys.place(of_cluster, of_namespace))

    def _kept(self, places: Ints, now_ms: int) -> Ints:
        """Return the rows that are not refused, and whose time is neither late nor ahead."""
        times_ms, kept = np.asarray(self._times), places >= 0
        late = kept & (times_ms < (now_ms // keys.MINUTE_MS - KEPT_MINUTES + 1) * keys.MINUTE_MS)
        ahead = kept & (times_ms > now_ms + SKEW_MS)
        self._refuse("late", late)
        self._refuse("ahead", ahead)
        return np.flatnonzero(kept & ~late & ~ahead)

    def _labels(self, kinds: Ints, names: Ints) -> Ints:
        """Return the numbers of workloads by their codes: each distinct one is looked up once."""
        across = len(self._name)
        found, of_row = distinct(kinds * across + names, len(self._kind) * across)
        words = self._name.words.take(pa.array(found % across)).to_pylist()
        ends = np.searchsorted(found // across, np.arange(len(self._kind)), side="right").tolist()
        numbers: list[int] = []
        for kind, end in zip(self._kind.listed(), ends, strict=True):
            if end > len(numbers):
                numbers += self._vocabulary.workload_numbers(kind, words[len(numbers) : end])
        return np.array(numbers, dtype=np.int64)[of_row]

    def _refuse(self, reason: str, rows: Bools) -> None:
        count = int(np.count_nonzero(rows))
        if count:
            self._refused[reason] = self._refused.get(reason, 0) + count


def _subjects(namespace: Text, kind: Text, workload: Text, others: Sequence[tuple[str, Text]]) -> tuple[Text, ...]:
    """Return namespaces, kinds and names of what lines are about.

    Args:
        namespace: Of the line.
        kind: Of the workload, where there is one.
        workload: Its name.
        others: Who it is about where there is none: kinds, and their names. Only the first has a namespace.

    """
    words = [workload.words]
    codes = [one.codes.astype(np.int64) for one in (namespace, kind, workload)]
    without = np.flatnonzero(_is_empty(workload)[workload.codes])
    for number, (_, text) in enumerate(others):
        if number:
            codes[0][without] = len(namespace)
        codes[1][without] = len(kind) + number
        codes[2][without] = sum(map(len, words)) + text.codes[without].astype(np.int64)
        words.append(text.words)
        without = without[_is_empty(text)[text.codes[without]]]
    codes[0][without], codes[1][without], codes[2][without] = (
        len(namespace),
        len(kind) + len(others),
        sum(map(len, words)),
    )
    nothing = pa.array([""])
    return (
        Text(pa.concat_arrays([namespace.words, nothing]), codes[0]),
        Text(pa.concat_arrays([kind.words, pa.array([of_kind for of_kind, _ in others]), nothing]), codes[1]),
        Text(pa.concat_arrays([*words, nothing]), codes[2]),
    )


def _is_empty(text: Text) -> Bools:
    return np.array([not word for word in text.listed()], dtype=bool)

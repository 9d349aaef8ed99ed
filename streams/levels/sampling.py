"""Frames of samples into samples of members, by columns and dictionary codes, without a look at any row.

Most samples concern no rule: that is told from the metric's name, once a name. Of the others each distinct series is
looked up once a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Final

import numpy as np
import pyarrow as pa

from streams.levels.columns import Text, distinct
from streams.levels.members import FORGOTTEN_MS
from streams.levels.rings import Samples
from streams.levels.series import FULL, NOBODY, REASONS, Family, Series
from streams.rates.labels import REFUSED
from streams.rates.packing import Ints
from streams.rates.vocabulary import MISPLACED, Vocabulary

COLUMNS: Final = ("cluster", "metric", "labels", "value", "time_ms")
"""What is read of a frame of samples, in this order."""
SKEW_MS: Final = 60_000
"""A sample, or a line, may be so far ahead of the clock."""


@dataclass(slots=True)
class Sampled:
    """What a frame of samples comes to."""

    samples: Samples
    """`rows` are members' numbers."""
    clusters: Ints
    """By cluster's number: its samples, those that concern no rule too."""
    refused: dict[str, int]
    offenders: dict[tuple[int, str], int]
    """Samples that were refused for want of room, by cluster's number and metric."""


def read(batch: pa.RecordBatch, series: Series, vocabulary: Vocabulary, now_ms: int) -> Sampled:
    """Return what a frame's rows say of members. Series that are new join, words that are new get numbers."""
    return _Frame(batch, series, vocabulary).read(now_ms)


class _Frame:
    def __init__(self, batch: pa.RecordBatch, series: Series, vocabulary: Vocabulary) -> None:
        cluster, metric, labels, self._values, self._times = batch.columns
        self._cluster, self._metric, self._labels = map(Text.of, (cluster, metric, labels))
        self._series, self._vocabulary = series, vocabulary
        self._refused: dict[str, int] = {}
        self._offenders: dict[tuple[int, str], int] = {}

    def read(self, now_ms: int) -> Sampled:
        numbers = self._vocabulary.cluster_numbers(self._cluster.listed())
        clusters = self._counted(numbers)
        rows = self._rows(numbers, now_ms)
        return Sampled(self._samples(rows), clusters, self._refused, self._offenders)

    def _counted(self, numbers: Ints) -> Ints:
        rows = np.bincount(self._cluster.codes, minlength=len(numbers))
        clusters = np.zeros(max(int(numbers.max(initial=-1)) + 1, 0), dtype=np.int64)
        np.add.at(clusters, numbers[numbers >= 0], rows[numbers >= 0])
        self._refuse("clusters-full", int(rows[numbers == REFUSED].sum()))
        self._refuse("misplaced", int(rows[numbers == MISPLACED].sum()))
        return clusters

    def _rows(self, numbers: Ints, now_ms: int) -> Ints:
        """Return the rows that may concern a rule: by their metric, cluster and time."""
        by_metric = self._series.rules.by_metric
        concerned = np.array([metric in by_metric for metric in self._metric.listed()], dtype=bool)
        here = concerned[self._metric.codes]
        is_ours = numbers >= 0
        if not is_ours.all():
            ours = is_ours[self._cluster.codes]
            here &= ours
            self._refuse(REASONS[NOBODY], int(np.count_nonzero(ours)) - int(np.count_nonzero(here)))
        else:
            self._refuse(REASONS[NOBODY], len(here) - int(np.count_nonzero(here)))
        rows = np.flatnonzero(here)
        times_ms = np.asarray(self._times)[rows]
        late, ahead = times_ms < now_ms - FORGOTTEN_MS, times_ms > now_ms + SKEW_MS
        self._refuse("late", int(np.count_nonzero(late)))
        self._refuse("ahead", int(np.count_nonzero(ahead)))
        kept: Ints = rows[~(late | ahead)]
        return kept

    def _samples(self, rows: Ints) -> Samples:
        if not len(rows):
            return Samples(rows, rows, rows)
        cluster, metric, labels = self._cluster.some(rows), self._metric.some(rows), self._labels.some(rows)
        codes = (cluster.codes * len(metric) + metric.codes) * len(labels) + labels.codes
        found, of_row = distinct(codes, len(cluster) * len(metric) * len(labels))
        families = self._families(found, cluster, metric, labels)
        members = np.fromiter(chain.from_iterable(families), np.int64)
        if len(members) == len(families):
            firsts, of_rows = members, members[of_row]
        else:
            counts = np.fromiter(map(len, families), np.int64, len(families))
            begins = np.cumsum(counts) - counts
            firsts = members[begins]
            rows, of_rows = _spread(rows, counts[of_row], members, begins[of_row])
        self._refuse_series(np.flatnonzero(firsts < 0), found, of_row, families, (cluster, metric, labels))
        kept = of_rows >= 0
        if not kept.all():
            rows, of_rows = rows[kept], of_rows[kept]
        bits = np.asarray(self._values).view(np.int64)
        return Samples(of_rows, np.asarray(self._times)[rows], bits[rows])

    def _families(self, found: Ints, cluster: Text, metric: Text, labels: Text) -> list[Family]:
        """Return the members of each distinct series; these ascend by cluster, metric and labels."""
        numbers = self._vocabulary.cluster_numbers(cluster.listed()).tolist()
        metrics, words = metric.listed(), labels.listed()
        of_group, of_labels = found // len(labels), found % len(labels)
        begins = np.flatnonzero(np.concatenate([[True], of_group[1:] != of_group[:-1]]))
        texts = [words[code] for code in of_labels.tolist()]
        families: list[Family] = []
        for begin, end in pairwise([*begins.tolist(), len(found)]):
            of_cluster, of_metric = divmod(int(of_group[begin]), len(metric))
            families += self._series.families(numbers[of_cluster], metrics[of_metric], texts[begin:end])
        return families

    def _refuse_series(
        self, without: Ints, found: Ints, of_row: Ints, families: Sequence[Family], texts: tuple[Text, Text, Text]
    ) -> None:
        """Count the rows of series that have no members; `without` are their places among those found."""
        if not len(without):
            return
        cluster, metric, labels = texts
        rows = np.bincount(of_row, minlength=len(found))
        numbers, metrics = self._vocabulary.cluster_numbers(cluster.listed()), metric.listed()
        for at in without.tolist():
            self._refuse(REASONS[families[at]], int(rows[at]))
            if families[at] == FULL:
                of_cluster, of_metric = divmod(int(found[at]) // len(labels), len(metric))
                offender = int(numbers[of_cluster]), metrics[of_metric]
                self._offenders[offender] = self._offenders.get(offender, 0) + int(rows[at])

    def _refuse(self, reason: str, count: int) -> None:
        if count:
            self._refused[reason] = self._refused.get(reason, 0) + count


def _spread(rows: Ints, counts: Ints, members: Ints, begins: Ints) -> tuple[Ints, Ints]:
    """Return each row as often as its series has members, with these.

    Args:
        rows: Which rows.
        counts: By row: how many members its series has.
        members: Those of all series.
        begins: By row: where those of its series begin.

    """
    ends = np.cumsum(counts)
    nth = np.arange(int(counts.sum())) - np.repeat(ends - counts, counts)
    return np.repeat(rows, counts), members[np.repeat(begins, counts) + nth]

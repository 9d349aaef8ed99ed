"""Samples as columns: what a collector that receives thousands of them at a time hands to its framer instead of rows.

A table numbers series and holds the text of each once; a block holds numbers of series beside numpy columns. So no
Python object is made for a sample, and a text is looked at once for each frame that has it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from collectors.lanes import Block

Numbers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

_ROW_BYTES: Final = 48
"""About what a sample takes in a block."""
_FIRST_CAPACITY: Final = 1_024


class Texts:
    """Distinct texts, numbered in the order in which they came."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.values: list[str] = []

    def number(self, text: str) -> int:
        """Return a text's number, a new one if it is new."""
        number = self._numbers.setdefault(text, len(self.values))
        if number == len(self.values):
            self.values.append(text)
        return number


class SeriesTable:
    """Series by number: each has a cluster, a metric's name and labels, all as numbers of texts."""

    def __init__(self) -> None:
        self.clusters, self.metrics, self.labels = Texts(), Texts(), Texts()
        self._columns = np.zeros((3, _FIRST_CAPACITY), dtype=np.int32)
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def add(self, cluster: str, metric: str, labels: str) -> int:
        """Return the number of a new series; `labels` as `abdrift.signals.samples.labels_text` writes them."""
        if self._rows == self._columns.shape[1]:
            self._columns = np.concatenate([self._columns, np.zeros_like(self._columns)], axis=1)
        numbers = (self.clusters.number(cluster), self.metrics.number(metric), self.labels.number(labels))
        self._columns[:, self._rows] = numbers
        self._rows += 1
        return self._rows - 1

    def one(self, number: int) -> tuple[str, str, str]:
        """Return a series' cluster, metric and labels."""
        cluster, metric, labels = self._columns[:, number].tolist()
        return self.clusters.values[cluster], self.metrics.values[metric], self.labels.values[labels]

    def labels_texts(self, cluster: str, metric: str, at_most: int) -> list[str]:
        """Return the labels of a cluster's first series of a metric."""
        clusters, metrics, labels = self._columns[:, : self._rows]
        wanted = (clusters == self.clusters.number(cluster)) & (metrics == self.metrics.number(metric))
        return [self.labels.values[number] for number in labels[wanted][:at_most].tolist()]

    def clusters_of(self, series: Numbers) -> Numbers:
        """Return the number of each series' cluster."""
        numbers: Numbers = self._columns[0, series]
        return numbers

    def metrics_of(self, series: Numbers) -> Numbers:
        """Return the number of each series' metric."""
        numbers: Numbers = self._columns[1, series]
        return numbers

    def labels_of(self, series: Numbers) -> Numbers:
        """Return the number of each series' labels."""
        numbers: Numbers = self._columns[2, series]
        return numbers


@dataclass(frozen=True, slots=True)
class SampleBlock(Block):
    """Samples of one cluster, all received at once. The columns are of one length; a framer takes none without any."""

    cluster: str
    table: SeriesTable
    series: Numbers
    values: Floats
    times_ms: Times
    observed_ms: int
    size_bytes: int
    """About what its samples' texts and columns take."""
    histograms: Mapping[int, bytes] = field(default_factory=dict)
    """Native histograms by the place of their sample."""

    @property
    def rows(self) -> int:
        """The number of samples."""
        return len(self.series)

    def halves(self) -> "tuple[SampleBlock, SampleBlock]":
        """Return the block as two, in order. It has at least two samples."""
        middle = self.rows // 2
        return self.chosen(np.arange(middle)), self.chosen(np.arange(middle, self.rows))

    @staticmethod
    def columns_of(blocks: "Sequence[SampleBlock]") -> dict[str, Any]:
        """Return the blocks' columns one after another, as `abdrift.frames.encode` takes them for `samples`."""
        sizes = [block.rows for block in blocks]
        columns: dict[str, Any] = {
            "cluster": _texts(np.repeat(np.arange(len(blocks), dtype=np.int32), sizes), [b.cluster for b in blocks]),
            "value": np.concatenate([block.values for block in blocks]),
            "time_ms": np.concatenate([block.times_ms for block in blocks]),
            "observed_ms": np.repeat(np.array([block.observed_ms for block in blocks], dtype=np.int64), sizes),
            **_names(blocks),
        }
        if any(block.histograms for block in blocks):
            columns["histogram"] = _histograms(blocks, sum(sizes))
        return columns

    def by_cluster(self) -> "list[SampleBlock]":
        """Return the samples of each cluster that their series name, as a block of its own."""
        numbers = self.table.clusters_of(self.series)
        return [
            self.chosen(np.flatnonzero(numbers == number), self.table.clusters.values[number])
            for number in np.unique(numbers).tolist()
        ]

    def chosen(self, places: npt.NDArray[np.int64], cluster: str | None = None) -> "SampleBlock":
        """Return the samples at these places, in their order."""
        histograms = self.histograms
        return SampleBlock(
            cluster=self.cluster if cluster is None else cluster,
            table=self.table,
            series=self.series[places],
            values=self.values[places],
            times_ms=self.times_ms[places],
            observed_ms=self.observed_ms,
            size_bytes=self.size_bytes * len(places) // max(1, self.rows),
            histograms={new: histograms[old] for new, old in enumerate(places.tolist()) if old in histograms}
            if histograms
            else {},
        )


def size_of(rows: int, text_bytes: int) -> int:
    """Return about how many bytes a block of so many samples takes, their texts before they are shared included."""
    return rows * _ROW_BYTES + text_bytes


def _names(blocks: Sequence[SampleBlock]) -> dict[str, Any]:
    table = blocks[0].table
    if all(block.table is table for block in blocks):
        series = np.concatenate([block.series for block in blocks])
        return {
            "metric": _texts(table.metrics_of(series), table.metrics.values),
            "labels": _texts(table.labels_of(series), table.labels.values),
        }
    # Tables are exchanged once in a while; then a frame may hold blocks of two.
    return {
        "metric": [
            block.table.metrics.values[n] for block in blocks for n in block.table.metrics_of(block.series).tolist()
        ],
        "labels": [
            block.table.labels.values[n] for block in blocks for n in block.table.labels_of(block.series).tolist()
        ],
    }


def _texts(numbers: Numbers, values: Sequence[str]) -> pa.DictionaryArray:
    """Return texts by number as a dictionary array of those that are used."""
    used = np.zeros(len(values), dtype=bool)
    used[numbers] = True
    chosen = np.flatnonzero(used)
    places = np.zeros(len(values), dtype=np.int32)
    places[chosen] = np.arange(len(chosen), dtype=np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(places[numbers]), pa.array(_picked(values, chosen.tolist())))


def _picked(values: Sequence[str], chosen: Sequence[int]) -> Iterable[str]:
    if len(chosen) == 1:
        return [values[chosen[0]]]
    picked: tuple[str, ...] = itemgetter(*chosen)(values)
    return picked


def _histograms(blocks: Sequence[SampleBlock], rows: int) -> list[bytes]:
    column, first = [b""] * rows, 0
    for block in blocks:
        for at, value in block.histograms.items():
            column[first + at] = value
        first += block.rows
    return column

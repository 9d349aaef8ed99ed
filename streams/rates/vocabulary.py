"""The words of one partition as numbers: clusters, namespaces, workloads, and the tags of reasons."""

import zlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from streams.rates import keys
from streams.rates.labels import REFUSED, Labels
from streams.rates.names import workload_of
from streams.rates.packing import Ints
from streams.rates.sums import STAMP_MASK

MAX_CLUSTERS: Final = 1 << keys.CLUSTER_BITS
MAX_NAMESPACES: Final = 1 << keys.NAMESPACE_BITS
MAX_WORKLOADS: Final = 1 << 17
MISPLACED: Final = REFUSED - 1
"""In place of the number of a cluster that belongs to another partition."""
MAX_NAME_CHARACTERS: Final = 253
"""Kubernetes allows no more; what is longer is cut."""
_MAX_REMEMBERED: Final = 1 << 16
_MAX_REASON_CHARACTERS: Final = 128

assert MAX_WORKLOADS <= 1 << keys.WORKLOAD_BITS, "every workload's number has a key"


class News(msgspec.Struct, array_like=True):
    """Words that were given numbers since it was last asked."""

    clusters: dict[str, int] = {}
    namespaces: dict[str, int] = {}
    workloads: dict[str, int] = {}
    reasons: dict[int, str] = {}


class Vocabulary:
    """Numbers of words, all bounded. A cluster is taken only where `belongs` says that it is this partition's."""

    def __init__(self, belongs: Callable[[str], bool]) -> None:
        self.clusters = Labels(MAX_CLUSTERS)
        self.namespaces = Labels(MAX_NAMESPACES)
        self.workloads = Labels(MAX_WORKLOADS)
        self.reasons: dict[int, str] = {}
        self.news = News()
        self._belongs = belongs
        self._remembered: dict[str, dict[str, int]] = {}
        self._remembered_count = 0

    def cluster_numbers(self, names: Sequence[str]) -> Ints:
        """Return the clusters' numbers, `REFUSED` where there is no room, `MISPLACED` where it is not ours."""
        return np.array([self._cluster(name[:MAX_NAME_CHARACTERS]) for name in names], dtype=np.int64)

    def namespace_numbers(self, names: Sequence[str]) -> Ints:
        """Return the namespaces' numbers, `REFUSED` where there is no room."""
        labels, news = self.namespaces, self.news.namespaces
        return np.array([_number(labels, name[:MAX_NAME_CHARACTERS], news) for name in names], dtype=np.int64)

    def workload_numbers(self, kind: str, names: Sequence[str]) -> list[int]:
        """Return the numbers of the workloads that objects of a kind belong to, `REFUSED` where there is no room."""
        known = self._remembered.get(kind, {}).get
        found = list(map(known, names))
        if None in found:
            found = [self._workload(kind, name) if n is None else n for n, name in zip(found, names, strict=True)]
        return [REFUSED if number is None else number for number in found]

    def tags(self, reasons: Sequence[str]) -> Ints:
        """Return the reasons' tags. Of two with one tag the lesser is kept, whichever came first."""
        found = []
        for reason in reasons:
            word = reason[:_MAX_REASON_CHARACTERS]
            tag = zlib.crc32(word.encode()) & STAMP_MASK
            known = self.reasons.get(tag)
            if known is None or word < known:
                self.reasons[tag] = self.news.reasons[tag] = word
            found.append(tag)
        return np.array(found, dtype=np.int64)

    def told(self) -> News:
        """Return what is new since this was last asked."""
        news, self.news = self.news, News()
        return news

    def restore(self, news: News) -> None:
        """Take in what `told` told."""
        for labels, added in (
            (self.clusters, news.clusters),
            (self.namespaces, news.namespaces),
            (self.workloads, news.workloads),
        ):
            for label, number in added.items():
                labels.put(label, number)
        self.reasons.update(news.reasons)

    def everything(self) -> News:
        """Return all words."""
        return News(
            dict(self.clusters.numbers), dict(self.namespaces.numbers), dict(self.workloads.numbers), dict(self.reasons)
        )

    def keep_only(self, labels: Labels, needed: Ints) -> None:
        """Forget the labels whose numbers are not among those needed."""
        wanted = set(needed.tolist())
        labels.release([number for number in labels.numbers.values() if number not in wanted])
        self._forget_remembered()

    def split(self, workload: int) -> tuple[str, str]:
        """Return a workload's kind and name by its number."""
        kind, _, name = self.workloads[workload].partition("/")
        return kind, name

    def _cluster(self, name: str) -> int:
        known = self.clusters.numbers.get(name)
        if known is not None:
            return known
        return _number(self.clusters, name, self.news.clusters) if self._belongs(name) else MISPLACED

    def _workload(self, kind: str, name: str) -> int:
        owner = workload_of(kind, name)
        label = f"{kind[:MAX_NAME_CHARACTERS]}/{owner[:MAX_NAME_CHARACTERS]}"
        number = _number(self.workloads, label, self.news.workloads)
        if number != REFUSED and len(name) <= MAX_NAME_CHARACTERS:
            if self._remembered_count >= _MAX_REMEMBERED:
                self._forget_remembered()
            self._remembered.setdefault(kind, {})[name] = number
            self._remembered_count += 1
        return number

    def _forget_remembered(self) -> None:
        self._remembered.clear()
        self._remembered_count = 0


def _number(labels: Labels, label: str, news: dict[str, int]) -> int:
    known = labels.numbers.get(label)
    if known is not None:
        return known
    number = labels.number(label)
    if number != REFUSED:
        news[label] = number
    return number

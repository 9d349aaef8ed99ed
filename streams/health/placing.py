"""Words that other steps say of objects: which workload or node each is about, and where it is kept.

A word is about an object as its sender names it; it counts against the workload of that name, or the one that a
generated name points to. Words about what is not known yet are kept for a while: an agent's objects may come later.
"""

from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from streams.health.assess import ASSESSORS
from streams.health.cells import Told, resource_id
from streams.health.work import Work

MAX_UNPLACED: Final = 100
"""Words about nothing known that are kept for each namespace; the newest."""

_WORKLOAD_KINDS = {kind: group for (group, kind), (scope, _) in ASSESSORS.items() if scope == "workload"}
_MADE_BY_WORKLOADS = ("Pod", "ReplicaSet", "Job", "")
"""Kinds of which a name points to a workload's; the last where the kind is not told."""

WordT = TypeVar("WordT")


def is_new(work: Work, key: str, epoch: int, sequence: int) -> bool:
    """Note a frame of words in a cell; return whether it is newer than all before it. A repeat may come late."""
    known = work.cells.get(key, Told) or Told()
    if (epoch, sequence) <= (known.epoch, known.sequence):
        return False
    work.cells.put(key, Told(epoch, sequence))
    return True


@dataclass(frozen=True, slots=True)
class Shelf(Generic[WordT]):
    """Where the words of one step are kept: in cells that hold `words` by what they are about.

    That begins with `kind/name`, and may tell more after that.
    """

    placed: Any
    """The cells' type, of words about one resource."""
    unplaced: Any
    """The same, of words about what is not known in one namespace."""
    noun: str
    """With which the keys of the former begin; those of the latter with `unplaced_noun`."""
    unplaced_noun: str

    def of(self, work: Work, key: str) -> dict[str, WordT]:
        """Return the words about a resource."""
        return self._words(work, self.placed, f"{self.noun}/{key}")

    def take(self, work: Work, where: tuple[str, str], about: str, word: WordT | None) -> str | None:
        """Take a word about an object of a cluster's namespace; None withdraws one.

        Returns:
            The key of the resource that is to be judged for it.

        """
        key = _resource_of(work, *where, about)
        if key is not None:
            self.put(work, key, about, word)
            return key
        words = self._words(work, self.unplaced, self._unplaced_key(*where))
        words.pop(about, None)
        if word is not None:
            words[about] = word
        self._keep_unplaced(work, where, dict(list(words.items())[-MAX_UNPLACED:]))
        return None

    def put(self, work: Work, key: str, about: str, word: WordT | None) -> None:
        """Take a word about a resource; None withdraws one."""
        words = self.of(work, key)
        words.pop(about, None)
        if word is not None:
            words[about] = word
        self._keep(work, self.placed, f"{self.noun}/{key}", words)

    def place(self, work: Work, key: str, where: tuple[str, str]) -> bool:
        """Take the words that were kept for a resource which has just become known; return whether there were any."""
        unplaced = self._words(work, self.unplaced, self._unplaced_key(*where))
        ours = {about: word for about, word in unplaced.items() if _resource_of(work, *where, about) == key}
        if ours:
            self._keep(work, self.placed, f"{self.noun}/{key}", ours)
            left = {about: word for about, word in unplaced.items() if about not in ours}
            self._keep_unplaced(work, where, left)
        return bool(ours)

    def drop(self, work: Work, key: str) -> None:
        """Forget the words about a resource."""
        work.cells.drop(f"{self.noun}/{key}")

    def _keep_unplaced(self, work: Work, where: tuple[str, str], words: dict[str, WordT]) -> None:
        key = self._unplaced_key(*where)
        self._keep(work, self.unplaced, key, words)
        work.shelve(where[0], key, is_there=bool(words))

    def _unplaced_key(self, cluster: str, namespace: str) -> str:
        return f"{self.unplaced_noun}/{cluster}/{namespace}"

    @staticmethod
    def _words(work: Work, kind: Any, key: str) -> dict[str, WordT]:
        found = work.cells.get(key, kind)
        return dict(found.words) if found is not None else {}

    @staticmethod
    def _keep(work: Work, kind: Any, key: str, words: dict[str, WordT]) -> None:
        if words:
            work.cells.put(key, kind(words))
        else:
            work.cells.drop(key)


def _resource_of(work: Work, cluster: str, namespace: str, about: str) -> str | None:
    """Return the id of the resource an object is, or belongs to by its name."""
    kind, name = about.split("/", 2)[:2]
    if kind == "Node":
        key = resource_id("node", cluster, kind, name)
        return key if work.resource(key) is not None else None
    if kind in _WORKLOAD_KINDS:
        key = resource_id("workload", cluster, _WORKLOAD_KINDS[kind], kind, namespace, name)
        if work.resource(key) is not None:
            return key
    if kind not in _MADE_BY_WORKLOADS:
        return None
    while name:
        for of_kind, group in _WORKLOAD_KINDS.items():
            key = resource_id("workload", cluster, group, of_kind, namespace, name)
            if work.resource(key) is not None:
                return key
        name = name.rpartition("-")[0]
    return None

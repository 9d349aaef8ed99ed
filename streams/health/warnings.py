"""Unusually many Warning Events, as `streams.rates` tells of them: which workloads they are about.

A word is about an object as Events name it; it counts against the workload of that name, or the one that a generated
name points to. Words about what is not known yet are kept for a while: an agent's Events can come before its objects.
"""

from abdrift.signals.rates import RateRow
from streams.health.assess import ASSESSORS
from streams.health.cells import Told, Unplaced, Warnings, Word, resource_id, unplaced_key, warnings_key
from streams.health.work import Work

MAX_UNPLACED = 100
"""Words about nothing known that are kept for each namespace; the newest."""
TOLD = "told"
"""Key of the cell that says which frames of words were taken."""

_WORKLOAD_KINDS = {kind: group for (group, kind), (scope, _) in ASSESSORS.items() if scope == "workload"}
_MADE_BY_WORKLOADS = ("Pod", "ReplicaSet", "Job")


def is_new(work: Work, epoch: int, sequence: int) -> bool:
    """Note a frame of words; return whether it is newer than all before it. A repeat may come late."""
    known = work.cells.get(TOLD, Told) or Told()
    if (epoch, sequence) <= (known.epoch, known.sequence):
        return False
    work.cells.put(TOLD, Told(epoch, sequence))
    return True


def take(work: Work, row: RateRow) -> str | None:
    """Take a word; return the key of the workload that is to be judged for it."""
    key = _workload_of(work, row.cluster, row.namespace, row.kind, row.name)
    about, word = f"{row.kind}/{row.name}", Word(row.warnings, row.reason)
    if key is None:
        where = unplaced_key(row.cluster, row.namespace)
        words = dict((work.cells.get(where, Unplaced) or Unplaced()).words)
        words.pop(about, None)
        if row.unusual:
            words[about] = word
        _put_unplaced(work, where, dict(list(words.items())[-MAX_UNPLACED:]))
        return None
    kept = dict((work.cells.get(warnings_key(key), Warnings) or Warnings()).words)
    kept.pop(about, None)
    if row.unusual:
        kept[about] = word
    _put_warnings(work, key, kept)
    return key


def place(work: Work, key: str, cluster: str, namespace: str) -> bool:
    """Take the words that were kept for a workload which has just become known; return whether there were any."""
    where = unplaced_key(cluster, namespace)
    unplaced = work.cells.get(where, Unplaced)
    if unplaced is None:
        return False
    ours = {a: w for a, w in unplaced.words.items() if _workload_of(work, cluster, namespace, *a.split("/", 1)) == key}
    if ours:
        _put_warnings(work, key, ours)
        _put_unplaced(work, where, {about: word for about, word in unplaced.words.items() if about not in ours})
    return bool(ours)


def _put_unplaced(work: Work, where: str, words: dict[str, Word]) -> None:
    if words:
        work.cells.put(where, Unplaced(words))
    else:
        work.cells.drop(where)


def _put_warnings(work: Work, key: str, words: dict[str, Word]) -> None:
    if words:
        work.cells.put(warnings_key(key), Warnings(words))
    else:
        work.cells.drop(warnings_key(key))


def _workload_of(work: Work, cluster: str, namespace: str, kind: str, name: str) -> str | None:
    """Return the id of the workload an Event is about: its own, or the one that a generated name points to."""
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

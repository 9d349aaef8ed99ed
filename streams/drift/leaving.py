"""Clusters that went away: when all that is known of one is let go, and how.

What was told of it is taken back: its open findings are closed, and their tombstones follow a day later as always, so
until then its timers stay for them; its verdicts and its inventory get theirs at once. A cluster that is heard of again
starts afresh.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from abdrift.topics import FLEET_INVENTORY
from streams.drift import findings, remotes, verdicts
from streams.drift.cells import AnyCell, ClusterCell, FindingCell, OwnerCell, SourceCell, TimersCell, cluster_of
from streams.drift.work import Work
from streams.forgetting import SLICE_EVERY_MS, limit_ms, slice_of

NOUN: Final = "leave"
"""Of the timer."""
BECAUSE: Final = "cluster-gone"
"""Why its findings close."""
_TOMBS: Final = "tombs"


def plan(work: Work, cluster: str) -> None:
    """Have a cluster that is not heard of, and that no inventory names, forgotten in time."""
    cell = work.cluster(cluster)
    if _may_leave(cell):
        work.wake(cluster, NOUN, work.now_ms + limit_ms(withdrawn=cell.withdrawn is not None))


def consider(work: Work, cluster: str) -> None:
    """Call for a cluster to be forgotten, unless it was heard of or declared since, or that was planned anew."""
    timers = work.get(f"timers/{cluster}", TimersCell) or TimersCell()
    if _may_leave(work.cluster(cluster)) and NOUN not in timers.due_ms:
        work.leaving[cluster] = None


def carry_out(work: Work) -> None:
    """Forget the clusters that are called for, as many as one record may; the others follow."""
    if not work.leaving:
        return
    called, work.leaving = work.leaving, {}
    cells = _cells_of(work, called)
    for cluster, now in slice_of({cluster: len(of_cluster) for cluster, of_cluster in cells.items()}):
        if now:
            _forget(work, cluster, cells[cluster])
        else:
            work.wake(cluster, NOUN, work.now_ms + SLICE_EVERY_MS)


def tidy(work: Work, cluster: str) -> None:
    """Let go of the timers of a cluster of which nothing else is left, once there are none."""
    timers = work.get(f"timers/{cluster}", TimersCell)
    if (timers is None or not timers.due_ms) and work.get(f"cluster/{cluster}", ClusterCell) is None:
        work.put(f"timers/{cluster}", None)
        due_ms = {name: at_ms for name, at_ms in work.partition.due_ms.items() if name != cluster}
        work.put("partition", msgspec.structs.replace(work.partition, due_ms=due_ms))


def _may_leave(cell: ClusterCell) -> bool:
    return cell.declared is None and (cell.silent or not cell.heartbeat_ms)


def _cells_of(work: Work, clusters: Iterable[str]) -> dict[str, dict[str, AnyCell]]:
    """Return clusters' cells by key, in an order that no batch decides."""
    # Looked for among all: an index of them would cost every write, and this is done once in a cluster's life.
    found: dict[str, list[tuple[str, AnyCell]]] = {cluster: [] for cluster in clusters}
    for key, cell in work.everything():
        of_cluster = found.get(cluster_of(key))
        if of_cluster is not None:
            of_cluster.append((key, cell))
    return {cluster: dict(sorted(of_cluster)) for cluster, of_cluster in found.items()}


def _forget(work: Work, cluster: str, cells: Mapping[str, AnyCell]) -> None:
    for key, cell in cells.items():
        _take_back(work, cluster, key, cell)
    if work.cluster(cluster).said:
        work.forget(FLEET_INVENTORY, cluster, cluster)
    work.call_off(cluster)
    timers = work.get(f"timers/{cluster}", TimersCell) or TimersCell()
    tombs = {what: due_ms for what, due_ms in timers.due_ms.items() if what.startswith(f"{_TOMBS}|")}
    for key in cells:
        if not key.startswith(f"{_TOMBS}/"):
            work.put(key, None)
    work.put(f"timers/{cluster}", TimersCell(due_ms=tombs))
    due_ms = {**work.partition.due_ms, cluster: min(tombs.values(), default=work.now_ms)}
    work.put("partition", msgspec.structs.replace(work.partition, due_ms=due_ms))


def _take_back(work: Work, cluster: str, key: str, cell: AnyCell) -> None:
    """Take back what was told, and noted elsewhere, of a cell that is about to go."""
    if isinstance(cell, FindingCell) and cell.open:
        findings.close(work, cluster, key, cell, BECAUSE)
        findings.bury(work, cluster, cell.finding_id)
    elif isinstance(cell, OwnerCell):
        verdicts.take_back(work, cluster, cell)
    elif isinstance(cell, SourceCell):
        remotes.follow(work, cluster, cell, SourceCell(ref=cell.ref))

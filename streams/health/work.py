"""One batch on its way through the health step: the state as it changes, and what is to be said.

A cluster's index and timers are taken out of their cells once a batch and put back at its end: with thousands of
resources, a new tuple or dict for each change would cost more than all judging.
"""

from collections.abc import Iterable, Iterator, Mapping

from abdrift.topics import FLEET_HEALTH
from streams.forgetting import limit_ms
from streams.health.cells import (
    CLUSTERS,
    OBSERVED_SCOPES,
    Cell,
    Cluster,
    Index,
    Resource,
    Timers,
    cluster_key,
    index_key,
    shelves_key,
    timers_key,
)
from streams.health.facts import health_fact
from streams.overlay import Overlay
from streams.step import Cause, Outgoing, Refused, Result, tombstone

_NEVER_MS = 1 << 62


class Work:
    """The scratch state, the facts so far, and the record at hand."""

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        self.cells: Overlay[Cell] = Overlay(cells)
        self.now_ms = 0
        self.cause = Cause("", 0, 0)
        self.epoch: tuple[str, int] = ("", 0)
        """Source and epoch of the agent whose row is at hand."""
        self.stale: dict[str, None] = {}
        """Keys of namespaces and clusters whose members changed since they were judged."""
        self._said: dict[str, tuple[Cause, Resource, bool]] = {}
        """By key: why, what, and whether it is there."""
        self._facts: list[Outgoing] = []
        self._refused: list[Refused] = []
        self._indexes: dict[str, dict[str, None]] = {}
        self._timers: dict[str, dict[str, int]] = {}
        self._earliest_ms: dict[str, int] = {}

    def refuse(self, reason: str, message: str) -> None:
        """Leave the row at hand to the dead letters."""
        self._refused.append(Refused(self.cause, reason, message))

    def cluster(self, name: str) -> Cluster:
        """Return what is known of a cluster; from now on it is one of this partition's."""
        known = self.cells.get(cluster_key(name), Cluster)
        if known is None:
            known = Cluster(name=name, undeclared=True, forget_ms=self.now_ms + limit_ms(withdrawn=False))
            self.put_cluster(known)
        return known

    def put_cluster(self, cluster: Cluster) -> None:
        """Keep a cluster."""
        self._index(CLUSTERS)[cluster.name] = None
        self.cells.put(cluster_key(cluster.name), cluster)

    def clusters(self) -> Iterator[Cluster]:
        """Yield this partition's clusters."""
        for name in list(self._index(CLUSTERS)):
            yield self.cluster(name)

    def resource(self, key: str) -> Resource | None:
        """Return a resource by its id."""
        return self.cells.get(key, Resource)

    def observed(self, cluster: str) -> Iterator[tuple[str, Resource]]:
        """Yield what the agent sees of a cluster, by id."""
        return ((key, resource) for key, resource in self.resources(cluster) if resource.scope in OBSERVED_SCOPES)

    def put(self, key: str, resource: Resource) -> None:
        """Keep a resource."""
        self._index(index_key(resource.cluster))[key] = None
        self.cells.put(key, resource)

    def drop(self, key: str, resource: Resource) -> None:
        """Forget a resource, and have every reader forget it too."""
        self._index(index_key(resource.cluster)).pop(key, None)
        self._timer(resource.cluster).pop(key, None)
        self.stale.pop(key, None)
        self.cells.drop(key)
        if resource.revision:
            self._said[key] = (self.cause, resource, False)

    def resources(self, cluster: str) -> Iterator[tuple[str, Resource]]:
        """Yield all that is known of a cluster, by id."""
        for key in list(self._index(index_key(cluster))):
            resource = self.resource(key)
            assert resource is not None, "an index names what is kept"
            yield key, resource

    def size_of(self, cluster: str) -> int:
        """Return how much is known of a cluster, in resources."""
        return len(self._index(index_key(cluster)))

    def shelve(self, cluster: str, key: str, *, is_there: bool) -> None:
        """Note whether there is a cell with words about what is not known of a cluster."""
        if is_there:
            self.cluster(cluster)
            self._index(shelves_key(cluster))[key] = None
        else:
            self._index(shelves_key(cluster)).pop(key, None)

    def forget(self, cluster: str) -> None:
        """Let go of a cluster whose resources are gone, and of the words about what was not known of it."""
        for key in self._index(shelves_key(cluster)):
            self.cells.drop(key)
        self._indexes[shelves_key(cluster)] = {}
        self._timers[cluster] = {}
        self._earliest_ms.pop(cluster, None)
        self._index(CLUSTERS).pop(cluster, None)
        self.cells.drop(cluster_key(cluster))

    def say(self, key: str, resource: Resource) -> None:
        """Publish a resource as it stands at the end of the record at hand."""
        self._said[key] = (self.cause, resource, True)

    def schedule(self, key: str, cluster: str, due_ms: int | None) -> None:
        """Have a resource judged again at that time, or not at all."""
        if due_ms is None:
            self._timer(cluster).pop(key, None)
        else:
            self._timer(cluster)[key] = due_ms
            self._earliest_ms[cluster] = min(due_ms, self._earliest_ms.get(cluster, due_ms))

    def due(self, cluster: str) -> Iterable[str]:
        """Return the keys whose time has come, in an order that no batch decides."""
        if cluster not in self._timers:
            stored = self.cells.get(timers_key(cluster), Timers)
            if stored is None or stored.earliest_ms > self.now_ms:
                return ()
        timers = self._timer(cluster)
        if self._earliest_ms.get(cluster, self.now_ms + 1) > self.now_ms:
            return ()
        found = sorted(key for key, due_ms in timers.items() if due_ms <= self.now_ms)
        later = (due_ms for due_ms in timers.values() if due_ms > self.now_ms)
        self._earliest_ms[cluster] = min(later, default=_NEVER_MS)
        return found

    def end_record(self) -> None:
        """Turn what is to be said into facts: what one record changes several times over is said once."""
        for key, (cause, resource, is_there) in self._said.items():
            if is_there:
                cluster = self.cluster(resource.cluster)
                self._facts.append(health_fact(key, resource, cluster, cause, self.now_ms))
            else:
                self._facts.append(tombstone(FLEET_HEALTH, key, resource.cluster))
        self._said.clear()

    def result(self) -> Result[Cell]:
        """Return what the batch changed."""
        for key, index in self._indexes.items():
            if index:
                self.cells.put(key, Index(keys=tuple(index)))
            else:
                self.cells.drop(key)
        for name, timers in self._timers.items():
            if timers:
                self.cells.put(timers_key(name), Timers(due_ms=timers, earliest_ms=min(timers.values())))
            else:
                self.cells.drop(timers_key(name))
        return Result(self.cells.changed, self._facts, self._refused)

    def _index(self, key: str) -> dict[str, None]:
        if key not in self._indexes:
            stored = self.cells.get(key, Index)
            self._indexes[key] = dict.fromkeys(stored.keys) if stored else {}
        return self._indexes[key]

    def _timer(self, cluster: str) -> dict[str, int]:
        if cluster not in self._timers:
            stored = self.cells.get(timers_key(cluster), Timers)
            self._timers[cluster] = dict(stored.due_ms) if stored else {}
            if stored:
                self._earliest_ms[cluster] = stored.earliest_ms
        return self._timers[cluster]

"""The desk that one batch is worked on: state as read, what changed so far, and the facts to publish.

It lives for one call of `IncidentsStep.process`; the cells given are never touched.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TypeVar

import msgspec

from abdrift.facts.governance import IncidentThresholds, Policy
from abdrift.facts.incidents import Incident
from abdrift.partitions import FLEET_SCOPE
from abdrift.topics import FLEET_INCIDENTS, INCIDENT
from streams.incidents.cells import (
    CLOCK,
    POLICY,
    ClockCell,
    ClusterCell,
    GroupCell,
    IncidentsCell,
    PolicyCell,
    ShardCell,
    SymptomCell,
    shard_keys,
)
from streams.overlay import Overlay
from streams.step import Cause, Outgoing, Publication, Refused, publish, tombstone

CellT = TypeVar("CellT")


@lru_cache(maxsize=4)
def _thresholds(body: bytes) -> IncidentThresholds:
    return Policy.model_validate_json(body).incidents


class Work:
    """One batch's working state. `clock` is written back by `cells_changed`."""

    def __init__(self, cells: Mapping[str, IncidentsCell]) -> None:
        self._overlay: Overlay[IncidentsCell] = Overlay(cells)
        self.clock = self.get(CLOCK, ClockCell) or ClockCell()
        self.facts: list[Outgoing] = []
        self.refused: list[Refused] = []
        self.passed_over: Counter[str] = Counter()
        """What was read and does not count, by reason."""
        self.cause = Cause("", 0, 0)

    @property
    def now_ms(self) -> int:
        """The newest append time seen, in this batch or before."""
        return self.clock.now_ms

    @property
    def thresholds(self) -> IncidentThresholds:
        """What the policy in force says of incidents; the defaults where there is none."""
        cell = self.get(POLICY, PolicyCell)
        return _thresholds(cell.body) if cell else IncidentThresholds()

    def get(self, key: str, kind: type[CellT]) -> CellT | None:
        """Return the cell of that key as it is now; None where there is none of that kind."""
        return self._overlay.get(key, kind)

    def put(self, key: str, cell: IncidentsCell) -> None:
        """Replace a cell."""
        self._overlay.put(key, cell)

    def drop(self, key: str) -> None:
        """Forget a cell."""
        self._overlay.drop(key)

    def each(self, kind: type[CellT]) -> Iterator[tuple[str, CellT]]:
        """Yield the cells of a kind as they are now, by key. Nothing may be put meanwhile."""
        return self._overlay.each(kind)

    def cluster(self, name: str) -> ClusterCell:
        """Return what is known of a cluster."""
        return self.get(f"cluster/{name}", ClusterCell) or ClusterCell()

    def symptom(self, symptom_id: str) -> SymptomCell | None:
        """Return a symptom."""
        return self.get(f"symptom/{symptom_id}", SymptomCell)

    def group(self, cause: str) -> GroupCell | None:
        """Return what is known of a cause."""
        return self.get(f"group/{cause}", GroupCell)

    def put_group(self, group: GroupCell) -> None:
        """Keep a cause; one without members and without an incident is forgotten."""
        key = f"group/{group.place.key}"
        if group.members or group.incident:
            self.put(key, group)
        else:
            self.drop(key)

    def shards(self, cause: str) -> Iterator[tuple[str, ShardCell]]:
        """Yield a cause's shards that have members, by key."""
        for key in shard_keys(cause):
            shard = self.get(key, ShardCell)
            if shard is not None:
                yield key, shard

    def put_shard(self, key: str, shard: ShardCell) -> None:
        """Keep a shard; an empty one is forgotten."""
        if shard.marks:
            self.put(key, shard)
        else:
            self.drop(key)

    def alter(self, **changes: object) -> None:
        """Replace fields of the clock's cell."""
        self.clock = msgspec.structs.replace(self.clock, **changes)

    def wake(self, key: str, due_ms: int) -> None:
        """Have something looked at again: at that time, or earlier where that was wanted before."""
        before_ms = self.clock.due_ms.get(key, due_ms)
        if key not in self.clock.due_ms or due_ms < before_ms:
            self.alter(due_ms={**self.clock.due_ms, key: due_ms})

    def say(self, incident: Incident) -> None:
        """Publish an incident as it stands."""
        about = Publication(
            topic=FLEET_INCIDENTS,
            fact_type=INCIDENT,
            subject=incident.incident_id,
            source="incidents",
            cause=self.cause,
            at_ms=self.now_ms,
            scope=FLEET_SCOPE,
        )
        self.facts.append(publish(about, incident))

    def forget(self, incident_id: str) -> None:
        """Publish an incident's tombstone."""
        self.facts.append(tombstone(FLEET_INCIDENTS, incident_id, FLEET_SCOPE))

    def refuse(self, reason: str, message: str) -> None:
        """Dead-letter the record at hand."""
        self.refused.append(Refused(self.cause, reason, message))

    def cells_changed(self) -> Mapping[str, IncidentsCell | None]:
        """Return what this batch changed."""
        self.put(CLOCK, self.clock)
        return self._overlay.changed

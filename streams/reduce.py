"""What the steps that see the whole fleet need of it, brought into one order on one partition.

Facts pass with their own id, subject and type. Values of fields stay behind: nobody decides by them, and they are
most of a finding's bytes. A policy lies in every partition; the copy of the first one passes.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from abdrift.cloudevents import CloudEvent
from abdrift.facts.health import HealthScope
from abdrift.partitions import FLEET_SCOPE
from abdrift.topics import (
    FINDING,
    FLEET_APPROVALS,
    FLEET_DRIFT,
    FLEET_HEALTH,
    FLEET_INVENTORY,
    FLEET_OUTCOMES,
    FLEET_POLICY,
    FLEET_REDUCED,
    Topic,
)
from streams.step import Batch, Input, Outgoing, Refused, Result

MAX_FIELDS = 200
"""Fields kept of one finding; the others are counted in `fields_omitted`."""

_FORGETTING = (FLEET_INVENTORY.name, FLEET_DRIFT.name)
"""Topics whose tombstones mean something to the steps behind; the other topics' keys could be taken for theirs."""


class NoState(msgspec.Struct, frozen=True):
    """Nothing is remembered."""


class ReduceStep:
    """Forwards facts of every partition to `FLEET_REDUCED`."""

    name = "reduce"
    reads: tuple[Topic, ...] = (
        FLEET_INVENTORY,
        FLEET_HEALTH,
        FLEET_DRIFT,
        FLEET_POLICY,
        FLEET_APPROVALS,
        FLEET_OUTCOMES,
    )
    writes: tuple[Topic, ...] = (FLEET_REDUCED,)
    cell_type = NoState

    def process(self, cells: Mapping[str, NoState], batch: Batch) -> Result[NoState]:
        """Return the facts to forward, in the order they came."""
        del cells
        facts: list[Outgoing] = []
        refused: list[Refused] = []
        for record in batch.inputs:
            try:
                if (outgoing := _forward(record)) is not None:
                    facts.append(outgoing)
            except (TypeError, ValueError, AttributeError) as error:
                message = f"fields of a finding are not as its schema says: {error}"
                refused.append(Refused(record.cause(), "invalid-fact", message))
        return Result(facts=facts, refused=refused)


def _forward(record: Input) -> Outgoing | None:
    if record.tombstone:
        is_cluster = record.topic == FLEET_HEALTH.name and _is_cluster_health(record.key or "")
        if record.key and (record.topic in _FORGETTING or is_cluster):
            return Outgoing(FLEET_REDUCED, record.key, FLEET_SCOPE, None)
        return None
    event = record.event
    if event is None or not _is_wanted(record, event):
        return None
    if event.type == FINDING.name:
        event = event.model_copy(update={"data": _without_values(event.data)})
    return Outgoing(FLEET_REDUCED, event.subject, event.cluster or FLEET_SCOPE, event)


def _is_wanted(record: Input, event: CloudEvent) -> bool:
    if record.topic == FLEET_POLICY.name:
        return record.partition == 0
    return record.topic != FLEET_HEALTH.name or event.data.get("scope") == HealthScope.CLUSTER


def _is_cluster_health(resource_id: str) -> bool:
    return resource_id.startswith(f"{HealthScope.CLUSTER}/")


def _without_values(data: Mapping[str, Any]) -> dict[str, Any]:
    fields = data.get("fields", ())
    kept = [{k: v for k, v in field.items() if k not in ("old", "new")} for field in fields[:MAX_FIELDS]]
    omitted = data.get("fields_omitted", 0) + max(0, len(fields) - MAX_FIELDS)
    return {**data, "fields": kept, "fields_omitted": omitted}

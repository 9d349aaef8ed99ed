"""What the steps that see the whole fleet need of it, brought into one order on one partition.

Facts pass with their own id, subject and type. Values of fields stay behind: nobody decides by them, and they are
most of a finding's bytes. A policy lies in every partition; the copy of the first one passes. Of health, that of
clusters passes, and that of nodes, and of workloads that failed with a revision, while they fail and once when they no
longer do.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from abdrift.cloudevents import CloudEvent
from abdrift.facts.health import HealthScope, HealthStatus
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
from streams.overlay import Overlay
from streams.step import Batch, Input, Outgoing, Refused, Result

MAX_FIELDS = 200
"""Fields kept of one finding; the others are counted in `fields_omitted`."""

_FORGETTING = (FLEET_INVENTORY.name, FLEET_DRIFT.name)
"""Topics whose tombstones mean something to the steps behind; the other topics' keys could be taken for theirs."""


class Failing(msgspec.Struct, frozen=True):
    """A node or workload whose failure was passed on, under its resource id."""


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
    cell_type = Failing

    def process(self, cells: Mapping[str, Failing], batch: Batch) -> Result[Failing]:
        """Return the facts to forward, in the order they came."""
        failing: Overlay[Failing] = Overlay(cells)
        facts: list[Outgoing] = []
        refused: list[Refused] = []
        for record in batch.inputs:
            try:
                if (outgoing := _forward(failing, record)) is not None:
                    facts.append(outgoing)
            except (TypeError, ValueError, AttributeError) as error:
                message = f"fields of a finding are not as its schema says: {error}"
                refused.append(Refused(record.cause(), "invalid-fact", message))
        return Result(failing.changed, facts, refused)


def _forward(failing: Overlay[Failing], record: Input) -> Outgoing | None:
    if record.tombstone:
        if record.key and _is_wanted_tombstone(failing, record.topic, record.key):
            return Outgoing(FLEET_REDUCED, record.key, FLEET_SCOPE, None)
        return None
    event = record.event
    if event is None or not _is_wanted(failing, record, event):
        return None
    if event.type == FINDING.name:
        event = event.model_copy(update={"data": _without_values(event.data)})
    return Outgoing(FLEET_REDUCED, event.subject, event.cluster or FLEET_SCOPE, event)


def _is_wanted_tombstone(failing: Overlay[Failing], topic: str, key: str) -> bool:
    if topic != FLEET_HEALTH.name:
        return topic in _FORGETTING
    is_failing = failing.get(key, Failing) is not None
    failing.drop(key)
    return is_failing or key.startswith(f"{HealthScope.CLUSTER}/")


def _is_wanted(failing: Overlay[Failing], record: Input, event: CloudEvent) -> bool:
    if record.topic == FLEET_POLICY.name:
        return record.partition == 0
    if record.topic != FLEET_HEALTH.name:
        return True
    match event.data.get("scope"):
        case HealthScope.NODE:
            return _is_wanted_failure(failing, event, is_cause_known=True)
        case HealthScope.WORKLOAD:
            return _is_wanted_failure(failing, event, is_cause_known=bool(event.data.get("rollout_revision")))
        case scope:
            return bool(scope == HealthScope.CLUSTER)


def _is_wanted_failure(failing: Overlay[Failing], event: CloudEvent, *, is_cause_known: bool) -> bool:
    """Pass a failure and its end. Of what is out of sight nobody knows that it recovered."""
    key, status = event.subject, event.data.get("status")
    if status == HealthStatus.FAILING and is_cause_known:
        failing.put(key, Failing())
        return True
    was_failing = failing.get(key, Failing) is not None and status != HealthStatus.UNKNOWN
    if was_failing:
        failing.drop(key)
    return was_failing


def _without_values(data: Mapping[str, Any]) -> dict[str, Any]:
    fields = data.get("fields", ())
    kept = [{k: v for k, v in field.items() if k not in ("old", "new")} for field in fields[:MAX_FIELDS]]
    omitted = data.get("fields_omitted", 0) + max(0, len(fields) - MAX_FIELDS)
    return {**data, "fields": kept, "fields_omitted": omitted}

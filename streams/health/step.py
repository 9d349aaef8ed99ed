"""The health step of one partition: objects and Events in, health facts out."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pyarrow.compute as pc

from abdrift.facts.health import HealthScope
from abdrift.frames import Frame
from abdrift.signals import events, objects
from abdrift.signals.objects import HeartbeatDetail, LostDetail, ObjectRow, Op, SyncDetail, decode_detail
from abdrift.topics import EVENTS, FLEET_HEALTH, OBJECTS, Topic
from streams.health import agents, resources, wholes
from streams.health.assess import ASSESSORS
from streams.health.cells import Cell, resource_id, warnings_key
from streams.health.warnings import Warnings, add
from streams.health.work import Work
from streams.step import Batch, Input, Result

HEARTBEAT_FACT_MS = 60_000
"""How often a cluster's health is said again though nothing changed."""

_WORKLOAD_KINDS = {kind: group for (group, kind), (scope, _) in ASSESSORS.items() if scope == "workload"}
_MADE_BY_WORKLOADS = ("Pod", "ReplicaSet", "Job")


class HealthStep:
    """Health of workloads, namespaces, GitOps objects, nodes and clusters."""

    name = "health"
    reads: tuple[Topic, ...] = (OBJECTS, EVENTS)
    writes: tuple[Topic, ...] = (FLEET_HEALTH,)
    cell_type: Any = Cell

    def process(self, cells: Mapping[str, Cell], batch: Batch) -> Result[Cell]:
        """Return what the batch changes. Pure; each record is taken at its own append time."""
        work = Work(cells)
        for record in batch.inputs:
            work.now_ms = record.append_ms
            _take(work, record)
            work.cause = record.cause()
            _tick(work)
            wholes.settle(work)
            work.end_record()
        return work.result()


def _take(work: Work, record: Input) -> None:
    work.cause = record.cause()
    if record.frame is None:
        return
    if record.frame.signal.name == "events":
        _take_events(work, record.frame)
        return
    rows = zip(objects.rows_of(record.frame.batch), _epochs(record.frame), strict=True)
    for number, (row, epoch) in enumerate(rows):
        work.cause, work.epoch = record.cause(number), epoch
        _take_object(work, row)


def _epochs(frame: Frame) -> Iterator[tuple[str, int]]:
    """Yield the source and epoch of each row."""
    for part in frame.parts:
        for _ in range(part.rows):
            yield part.source, part.epoch


def _take_object(work: Work, row: ObjectRow) -> None:
    try:
        match row.op:
            case Op.HEARTBEAT:
                agents.heartbeat(work, row.cluster, decode_detail(row, HeartbeatDetail))
            case Op.LOST:
                agents.lost(work, row, decode_detail(row, LostDetail))
            case Op.SYNCED:
                agents.synced(work, row, decode_detail(row, SyncDetail))
            case Op.LISTED | Op.ADDED | Op.MODIFIED if (row.group, row.kind) in ASSESSORS:
                resources.see(work, row)
            case Op.DELETED if (row.group, row.kind) in ASSESSORS:
                resources.gone(work, row)
    except (ValueError, TypeError, AttributeError, ArithmeticError, msgspec.MsgspecError) as error:
        # A row is a cluster's word: whatever shape it has, its neighbours are still judged.
        work.refuse("bad-row", f"{row.kind} {row.namespace}/{row.name}: {error}")


def _take_events(work: Work, frame: Frame) -> None:
    """Count a frame's Warnings about known workloads. Each workload is judged once, however many there are."""
    warnings = frame.batch.filter(pc.equal(frame.batch.column("type"), "Warning"))
    by_object: dict[tuple[str, str, str, str], tuple[int, str]] = {}
    for row in events.rows_of(warnings):
        about = (row.cluster, row.namespace, row.object_kind, row.object_name)
        by_object[about] = (by_object.get(about, (0, ""))[0] + row.count, row.reason)
    sums: dict[str, tuple[int, str]] = {}
    for about, (count, why) in by_object.items():
        key = _workload_of(work, *about)
        if key is not None:
            sums[key] = (sums.get(key, (0, ""))[0] + count, why)
    for key, (count, why) in sums.items():
        counted = add(work.cells.get(warnings_key(key), Warnings) or Warnings(), work.now_ms, count, why)
        work.cells.put(warnings_key(key), counted)
        resource = work.resource(key)
        assert resource is not None, "only known workloads are counted"
        resources.judge(work, key, resource)


def _workload_of(work: Work, cluster: str, namespace: str, kind: str, name: str) -> str | None:
    """Return the id of the workload an Event is about: its own, or the one that a generated name points to."""
    if kind in _WORKLOAD_KINDS:
        key = resource_id("workload", cluster, _WORKLOAD_KINDS[kind], kind, namespace, name)
        if work.resource(key) is not None:
            return key
    if kind not in _MADE_BY_WORKLOADS:
        return None
    while "-" in name:
        name = name.rpartition("-")[0]
        for of_kind, group in _WORKLOAD_KINDS.items():
            key = resource_id("workload", cluster, group, of_kind, namespace, name)
            if work.resource(key) is not None:
                return key
    return None


def _tick(work: Work) -> None:
    """Settle what was waiting, and notice silence."""
    for cluster in work.clusters():
        agents.notice_silence(work, cluster)
        for key in work.due(cluster.name):
            resource = work.resource(key)
            assert resource is not None, "a resource's timer goes with it"
            resources.judge(work, key, resource)
        wholes.say_again(work, cluster.name, HEARTBEAT_FACT_MS)


assert {scope for scope, _ in ASSESSORS.values()} <= set(HealthScope), "every assessed scope is a health scope"

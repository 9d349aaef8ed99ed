"""The health step of one partition: objects, and words about Events, in; health facts out."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from abdrift.facts.health import HealthScope
from abdrift.frames import Frame
from abdrift.signals import levels as levels_signal
from abdrift.signals import objects, rates
from abdrift.signals.objects import (
    HeartbeatDetail,
    InventoryDetail,
    LostDetail,
    ObjectRow,
    Op,
    SyncDetail,
    decode_detail,
)
from abdrift.topics import FLEET_HEALTH, LEVELS, OBJECTS, RATES, Topic
from streams.health import agents, leaving, levels, placing, resources, warnings, wholes
from streams.health.assess import ASSESSORS
from streams.health.cells import Cell
from streams.health.work import Work
from streams.step import Batch, Input, Result

RowT = TypeVar("RowT", rates.RateRow, levels_signal.LevelRow)

HEARTBEAT_FACT_MS = 60_000
"""How often a cluster's health is said again though nothing changed."""


class HealthStep:
    """Health of workloads, namespaces, GitOps objects, nodes and clusters."""

    name = "health"
    reads: tuple[Topic, ...] = (OBJECTS, RATES, LEVELS)
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
    if record.frame.signal is rates.RATES:
        _take_words(work, record.frame, warnings.TOLD, rates.rows_of, warnings.take)
        return
    if record.frame.signal is levels_signal.LEVELS:
        _take_words(work, record.frame, levels.TOLD, levels_signal.rows_of, levels.take)
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
                agents.heartbeat(work, row, decode_detail(row, HeartbeatDetail))
            case Op.INVENTORY:
                agents.declared(work, row.cluster, decode_detail(row, InventoryDetail))
            case Op.LOST:
                agents.lost(work, row, decode_detail(row, LostDetail))
            case Op.SYNCED:
                agents.synced(work, row, decode_detail(row, SyncDetail))
            case Op.LISTED | Op.ADDED | Op.MODIFIED if (row.group, row.kind) in ASSESSORS:
                _see(work, row)
            case Op.DELETED if (row.group, row.kind) in ASSESSORS:
                resources.gone(work, row)
    except (ValueError, TypeError, AttributeError, ArithmeticError, msgspec.MsgspecError) as error:
        # A row is a cluster's word: whatever shape it has, its neighbours are still judged.
        work.refuse("bad-row", f"{row.kind} {row.namespace}/{row.name}: {error}")


def _see(work: Work, row: ObjectRow) -> None:
    """Take an object; what was said of its Warnings before it was known counts from now on."""
    new = resources.see(work, row)
    if new is None:
        return
    # Each of the two, whether there was anything for the other or not.
    placed = [one.place(work, new, (row.cluster, row.namespace)) for one in (warnings.SHELF, levels.SHELF)]
    if any(placed):
        resource = work.resource(new)
        assert resource is not None, "it was just seen"
        resources.judge(work, new, resource)


def _take_words(
    work: Work, frame: Frame, told: str, rows_of: Callable[[Any], list[RowT]], take: Callable[[Work, RowT], str | None]
) -> None:
    """Take another step's words. Each resource is judged once, however many there are of it.

    Args:
        work: The batch.
        frame: The words.
        told: Key of the cell that says which frames were taken.
        rows_of: Makes rows of a frame's batch.
        take: Takes one word, and returns the key of the resource that is to be judged for it.

    """
    judged: dict[str, str] = {}
    for part in frame.parts:
        if placing.is_new(work, told, part.epoch, part.sequence):
            for row in rows_of(frame.batch.slice(part.first_row, part.rows)):
                key = take(work, row)
                if key is not None:
                    judged[key] = row.cluster
    for key, cluster in judged.items():
        resource = work.resource(key)
        if key.startswith("cluster/"):
            wholes.touch_cluster(work, cluster)
        else:
            assert resource is not None, "only known workloads and nodes are judged"
            resources.judge(work, key, resource)


def _tick(work: Work) -> None:
    """Settle what was waiting, and notice silence and who went away."""
    gone = []
    for cluster in work.clusters():
        if 0 < cluster.forget_ms <= work.now_ms:
            gone.append(cluster)
            continue
        agents.notice_silence(work, cluster)
        for key in work.due(cluster.name):
            resource = work.resource(key)
            assert resource is not None, "a resource's timer goes with it"
            resources.judge(work, key, resource)
        wholes.say_again(work, cluster.name, HEARTBEAT_FACT_MS)
    leaving.carry_out(work, gone)


assert {scope for scope, _ in ASSESSORS.values()} <= set(HealthScope), "every assessed scope is a health scope"

"""The drift step: objects and alerts in; findings, verdicts and the inventory out."""

from collections.abc import Callable, Mapping

import msgspec

from abdrift.signals import alerts as alert_signal
from abdrift.signals.alerts import AlertRow
from abdrift.signals.objects import ObjectRow, Op, rows_of
from abdrift.topics import ALERTS, FLEET_DRIFT, FLEET_INVENTORY, FLEET_POLICY, OBJECTS, Topic
from streams.drift import (
    alerts,
    behind,
    failing,
    findings,
    inventory,
    judging,
    leaving,
    objects,
    owners,
    policies,
    remotes,
    sources,
    suspended,
    verdicts,
    watches,
)
from streams.drift.cells import AnyCell, TimersCell
from streams.drift.work import Work
from streams.step import Batch, Input, Result

_MAX_ROUNDS = 8
"""Judging one thing may call for another to be judged; a row settles in fewer rounds than this."""

_NEVER_MS = 1 << 62

_ABSORB: dict[str, Callable[[Work, ObjectRow], None]] = {
    Op.REMOTE: remotes.absorb,
    Op.SYNCED: watches.synced,
    Op.LOST: watches.lost,
    Op.HEARTBEAT: watches.heartbeat,
    Op.READ: owners.absorb_read,
    Op.INVENTORY: inventory.declare,
    Op.LISTED: objects.absorb,
    Op.ADDED: objects.absorb,
    Op.MODIFIED: objects.absorb,
    Op.DELETED: objects.absorb,
}


class DriftStep:
    """A step as `streams.step.Step` asks for. `verify` refuses policies that no trusted key signed."""

    name = "drift"
    reads: tuple[Topic, ...] = (OBJECTS, ALERTS, FLEET_POLICY)
    writes: tuple[Topic, ...] = (FLEET_DRIFT, FLEET_INVENTORY)
    cell_type = AnyCell

    def __init__(self, verify: policies.Verify) -> None:
        self._verify = verify

    def process(self, cells: Mapping[str, AnyCell], batch: Batch) -> Result[AnyCell]:
        """Return what the batch changes. Pure; a row that can't be read is refused and its neighbours go on."""
        work = Work(cells)
        for record in batch.inputs:
            self._absorb(work, record)
        return Result(work.result(), work.facts, work.refused, passed_over=work.passed_over)

    def _absorb(self, work: Work, record: Input) -> None:
        work.cause = record.cause()
        partition = work.partition
        work.now_ms = max(partition.clock_ms, record.append_ms)
        if work.now_ms != partition.clock_ms:
            work.put("partition", msgspec.structs.replace(partition, clock_ms=work.now_ms))
        _fire(work)
        if record.topic == FLEET_POLICY.name:
            policies.absorb(work, record, self._verify)
            _fire(work)
        elif record.frame is not None and record.topic == ALERTS.name:
            for number, alert in enumerate(alert_signal.rows_of(record.frame.batch)):
                work.cause = record.cause(number)
                _absorb_alert(work, alert)
                _settle(work)
        elif record.frame is not None:
            epochs = [(part.source, part.epoch) for part in record.frame.parts for _ in range(part.rows)]
            for number, row in enumerate(rows_of(record.frame.batch)):
                work.cause, work.epoch = record.cause(number), epochs[number]
                _absorb_row(work, row)
                _settle(work)
        _settle(work)
        _conclude(work)


def _absorb_row(work: Work, row: ObjectRow) -> None:
    absorb = _ABSORB.get(row.op)
    if absorb is None:
        work.refuse("unknown-op", f"op {row.op!r}")
        return
    if bool(row.cluster) == (row.op == Op.REMOTE):
        work.refuse("wrong-cluster", f"a row of op {row.op!r} names cluster {row.cluster!r}")
        return
    work.begin()
    try:
        if row.cluster:
            _count(work, row.cluster)
        absorb(work, row)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # Objects are anyone's JSON: a shape that Kubernetes would not serve is refused here, whatever it broke.
        work.undo()
        work.refuse("bad-row", f"{row.op} {row.kind} {row.namespace}/{row.name}: {type(error).__name__}: {error}")


def _absorb_alert(work: Work, row: AlertRow) -> None:
    work.begin()
    try:
        alerts.absorb(work, row)
    except ValueError as error:
        work.undo()
        work.refuse("bad-row", f"{row.sender} {row.name}: {error}")


def _count(work: Work, cluster: str) -> None:
    """Count a row of a cluster; the first makes the cluster known."""
    cell = work.cluster(cluster)
    if not cell.row:
        due_ms = {cluster: _NEVER_MS, **work.partition.due_ms}
        work.put("partition", msgspec.structs.replace(work.partition, due_ms=due_ms))
        leaving.plan(work, cluster)
    work.put_cluster(cluster, msgspec.structs.replace(cell, row=cell.row + 1))


def _fire(work: Work) -> None:
    """Look again at what is due, in the order of when it was due."""
    due = [cluster for cluster, at_ms in work.partition.due_ms.items() if at_ms <= work.now_ms]
    for cluster in sorted(due):
        timers = work.get(f"timers/{cluster}", TimersCell) or TimersCell()
        ready = sorted((at_ms, what) for what, at_ms in timers.due_ms.items() if at_ms <= work.now_ms)
        left = {what: at_ms for what, at_ms in timers.due_ms.items() if at_ms > work.now_ms}
        work.put(f"timers/{cluster}", TimersCell(due_ms=left))
        due_ms = {**work.partition.due_ms, cluster: min(left.values(), default=_NEVER_MS)}
        work.put("partition", msgspec.structs.replace(work.partition, due_ms=due_ms))
        for _, what in ready:
            _look_again(work, cluster, what)
    leaving.carry_out(work)
    for cluster in due:
        leaving.tidy(work, cluster)


def _look_again(work: Work, cluster: str, what: str) -> None:
    noun, _, name = what.partition("|")
    noun = noun.partition(".")[0]
    if noun == "object":
        work.objects[cluster, name] = None
    elif noun == "owner":
        work.owners[cluster, name] = None
        work.verdicts[cluster, name] = None
        owner = work.owner(cluster, name)
        if owner is not None:
            owners.judge_unsettled(work, cluster, owner)
    elif noun == "source":
        work.sources[cluster, name] = None
    elif noun == "alerts" and name:
        alerts.forget_stale(work, cluster, name)
    elif noun == "alerts":
        alerts.remap(work, cluster)
    elif noun == "silence":
        watches.silence(work, cluster)
    elif noun == "tombs":
        findings.forget(work, cluster, name)
    elif noun == leaving.NOUN:
        leaving.consider(work, cluster)


def _settle(work: Work) -> None:
    """Judge what the row called for, then tell what is news about findings."""
    for _ in range(_MAX_ROUNDS):
        if not (work.sources or work.owners or work.objects):
            break
        todo, work.sources = work.sources, {}
        for cluster, oid in todo:
            _judge_source(work, cluster, oid)
        todo, work.owners = work.owners, {}
        for cluster, oid in todo:
            _judge_owner(work, cluster, oid)
        todo, work.objects = work.objects, {}
        for cluster, oid in todo:
            judging.judge(work, cluster, oid)
    else:
        raise AssertionError(f"a row did not settle in {_MAX_ROUNDS} rounds")
    findings.settle(work)


def _conclude(work: Work) -> None:
    """Tell what the record as a whole changed about owners and clusters."""
    weighed, work.verdicts = work.verdicts, {}
    for cluster, oid in weighed:
        verdicts.weigh(work, cluster, oid)
    work.verdicts.clear()
    told, work.inventories = work.inventories, {}
    for cluster in told:
        inventory.weigh(work, cluster)


def _judge_source(work: Work, cluster: str, oid: str) -> None:
    source = work.source(cluster, oid)
    if source is None:
        return
    judged = suspended.judge_source(work, cluster, failing.judge_source(work, cluster, source))
    if judged != source:
        work.put(f"source/{cluster}/{oid}", judged)
    sources.tell_followers(work, cluster, oid)


def _judge_owner(work: Work, cluster: str, oid: str) -> None:
    owner = work.owner(cluster, oid)
    if owner is None:
        return
    target = behind.target_of(work, cluster, owner)
    judged = behind.judge(work, cluster, owner, target)
    judged = failing.judge_owner(work, cluster, judged, target)
    judged = suspended.judge_owner(work, cluster, judged)
    if judged != owner:
        work.put_owner(cluster, judged)
    alerts.judge(work, cluster, oid)
    work.verdicts[cluster, oid] = None

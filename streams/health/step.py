"""The health step of one partition: objects and Events in, health facts out."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from abdrift.facts.health import HealthReason, HealthScope
from abdrift.signals import events, objects
from abdrift.signals.objects import HeartbeatDetail, LostDetail, ObjectRow, Op, SyncDetail, decode_detail
from abdrift.topics import EVENTS, FLEET_HEALTH, OBJECTS, Topic
from streams.health import hysteresis, rollup
from streams.health.assess import ASSESSORS, UNKNOWN, reason, worst
from streams.health.cells import (
    CLUSTERS,
    Cell,
    Cluster,
    Index,
    Reason,
    Resource,
    cluster_key,
    index_key,
    resource_id,
    warnings_key,
)
from streams.health.facts import health_fact
from streams.health.warnings import WINDOW_MINUTES, Warnings, add, advance
from streams.overlay import Overlay
from streams.step import Batch, Cause, Outgoing, Refused, Result, tombstone

SILENT_AFTER_HEARTBEATS = 3
HEARTBEAT_FACT_MS = 60_000
"""How often a cluster's health is said again though nothing changed."""

_WORKLOAD_KINDS = {kind: group for (group, kind), (scope, _) in ASSESSORS.items() if scope == "workload"}


class HealthStep:
    """Health of workloads, namespaces, GitOps objects, nodes and clusters."""

    name = "health"
    reads: tuple[Topic, ...] = (OBJECTS, EVENTS)
    writes: tuple[Topic, ...] = (FLEET_HEALTH,)
    cell_type: Any = Cell

    def process(self, cells: Mapping[str, Cell], batch: Batch) -> Result[Cell]:
        """Return what the batch changes. Pure; each record is taken at its own append time."""
        run = _Run(cells)
        for record in batch.inputs:
            run.now_ms, run.cause = record.append_ms, record.cause()
            if record.frame is not None and record.frame.signal.name == "objects":
                for number, row in enumerate(objects.rows_of(record.frame.batch)):
                    run.cause = record.cause(number)
                    run.object_row(row)
            elif record.frame is not None:
                run.event_rows(events.rows_of(record.frame.batch))
            run.cause = record.cause()
            run.tick()
            run.conclude()
        return Result(run.cells.changed, run.concluded, run.refused)


class _Run:
    """One batch on its way: the scratch state, the facts so far, and the record at hand."""

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        self.cells: Overlay[Cell] = Overlay(cells)
        self.facts: list[Outgoing] = []
        self.concluded: list[Outgoing] = []
        self.refused: list[Refused] = []
        self.now_ms = 0
        self.cause = Cause("", 0, 0)

    def object_row(self, row: ObjectRow) -> None:
        """Take one row of the objects signal."""
        try:
            match row.op:
                case Op.HEARTBEAT:
                    self._heartbeat(row.cluster, decode_detail(row, HeartbeatDetail))
                case Op.LOST:
                    self._lost(row, decode_detail(row, LostDetail).reason)
                case Op.SYNCED:
                    self._synced(row, decode_detail(row, SyncDetail))
                case Op.REMOTE:
                    pass
                case Op.DELETED:
                    self._gone(row)
                case _ if (row.group, row.kind) in ASSESSORS:
                    self._object(row)
        except (ValueError, TypeError, AttributeError, msgspec.MsgspecError) as error:
            # A row is a cluster's word: whatever shape it has, its neighbours are still judged.
            self.refused.append(Refused(self.cause, "bad-row", f"{row.kind} {row.namespace}/{row.name}: {error}"))

    def conclude(self) -> None:
        """Keep the last word about each subject: what one record changes several times over is said once."""
        self.concluded += list({fact.key: fact for fact in self.facts}.values())
        self.facts.clear()

    def _cluster(self, name: str) -> Cluster:
        known = self.cells.get(cluster_key(name), Cluster)
        if known is not None:
            return known
        self._add_key(CLUSTERS, name)
        return Cluster(name=name)

    def _heartbeat(self, name: str, detail: HeartbeatDetail) -> None:
        cluster = self._cluster(name)
        woken = cluster.silent
        self.cells.put(
            cluster_key(name),
            msgspec.structs.replace(
                cluster,
                uid=detail.cluster_uid,
                labels=detail.labels,
                heartbeat_ms=self.now_ms,
                interval_ms=detail.interval_ms,
                silent=False,
            ),
        )
        if woken:
            for key in self._keys(index_key(name)):
                resource = self.cells.get(key, Resource)
                if resource is not None and resource.scope in ("workload", "node", "gitops"):
                    self._judge(key, resource, resource.candidate_reasons)
        self._judge_cluster(name)

    def _lost(self, row: ObjectRow, why: str) -> None:
        cluster = self._cluster(row.cluster)
        lost = cluster.lost | {f"{row.group}/{row.kind}": why}
        self.cells.put(cluster_key(row.cluster), msgspec.structs.replace(cluster, lost=lost))
        self._judge_cluster(row.cluster)

    def _synced(self, row: ObjectRow, detail: SyncDetail) -> None:
        cluster = self._cluster(row.cluster)
        lost = {kind: why for kind, why in cluster.lost.items() if kind != f"{row.group}/{row.kind}"}
        self.cells.put(cluster_key(row.cluster), msgspec.structs.replace(cluster, lost=lost))
        if detail.selector:
            return  # a selected list does not tell that what it leaves out is gone
        for key in self._keys(index_key(row.cluster)):
            resource = self.cells.get(key, Resource)
            if resource is None or (resource.group, resource.kind) != (row.group, row.kind):
                continue
            if resource.seen_ms < detail.began_ms:
                self._forget(key, resource)
        self._judge_cluster(row.cluster)

    def _object(self, row: ObjectRow) -> None:
        scope, assess = ASSESSORS[row.group, row.kind]
        parts = (row.group, row.kind, row.namespace, row.name)
        key = resource_id(scope, row.cluster, *parts)
        known = self.cells.get(key, Resource) or self._new(key, row, scope)
        seen = msgspec.structs.replace(known, uid=row.uid, version=row.version, seen_ms=row.observed_ms)
        found = assess(row.parsed())
        self._judge(key, seen, tuple(map(_kept, found)))

    def _new(self, key: str, row: ObjectRow, scope: str) -> Resource:
        self._cluster(row.cluster)
        self._add_key(index_key(row.cluster), key)
        return Resource(
            scope=scope,
            cluster=row.cluster,
            group=row.group,
            version=row.version,
            kind=row.kind,
            namespace=row.namespace,
            name=row.name,
            since_ms=self.now_ms,
        )

    def event_rows(self, rows: Iterable[events.EventRow]) -> None:
        """Take a frame of the events signal: only Warnings about known workloads count, summed before judging."""
        sums: dict[str, tuple[int, str]] = {}
        for row in rows:
            key = self._workload_of(row) if row.type == "Warning" else None
            if key is not None:
                sums[key] = (sums.get(key, (0, ""))[0] + row.count, row.reason)
        for key, (count, why) in sums.items():
            counted = add(self.cells.get(warnings_key(key), Warnings) or Warnings(), self.now_ms, count, why)
            self.cells.put(warnings_key(key), counted)
            resource = self.cells.get(key, Resource)
            if resource is not None:
                self._judge(key, resource, _without_events(resource.candidate_reasons))

    def _workload_of(self, row: events.EventRow) -> str | None:
        """Return the key of the workload an Event is about: its own, or the one a Pod's generated name points to."""
        if row.object_kind in _WORKLOAD_KINDS:
            group = _WORKLOAD_KINDS[row.object_kind]
            key = resource_id("workload", row.cluster, group, row.object_kind, row.namespace, row.object_name)
            return key if self.cells.get(key, Resource) else None
        if row.object_kind not in ("Pod", "ReplicaSet"):
            return None
        name = row.object_name
        while "-" in name:
            name = name.rpartition("-")[0]
            for kind, group in _WORKLOAD_KINDS.items():
                key = resource_id("workload", row.cluster, group, kind, row.namespace, name)
                if self.cells.get(key, Resource):
                    return key
        return None

    def _judge(self, key: str, resource: Resource, reasons: tuple[Reason, ...]) -> None:
        """Propose the status that the reasons give, and publish where something settled."""
        cluster = self._cluster(resource.cluster)
        given = reasons + self._event_reasons(key)
        if cluster.silent:
            shown: tuple[Reason, ...] = (Reason("Silent", "its cluster is silent", "unknown", self.now_ms),)
        else:
            shown = given
        status = worst(tuple(_fact_reason(r) for r in shown)).value
        proposed = hysteresis.propose(resource, status, shown, self.now_ms)
        if cluster.silent:
            proposed = msgspec.structs.replace(proposed, candidate_reasons=given)
        self._store(key, resource, proposed)

    def _event_reasons(self, key: str) -> tuple[Reason, ...]:
        counted = self.cells.get(warnings_key(key), Warnings)
        if counted is None or not advance(counted, self.now_ms).unusual:
            return ()
        recent = advance(counted, self.now_ms).recent
        message = f"{recent} Warning events in {WINDOW_MINUTES} minutes, the last: {counted.last_reason}"
        return (Reason("WarningEvents", message, "degraded", self.now_ms, "events"),)

    def _store(self, key: str, before: Resource, after: Resource) -> None:
        self._schedule(key, after)
        first = before.revision == 0
        shown = first or before.status != after.status or _codes(before) != _codes(after)
        if shown:
            after = msgspec.structs.replace(after, revision=after.revision + 1, published_ms=self.now_ms)
            self.facts.append(health_fact(key, after, self._cluster(after.cluster), self.cause, self.now_ms))
        self.cells.put(key, after)
        if first or before.status != after.status:
            self._count(after, None if first else before.status, after.status)

    def _schedule(self, key: str, resource: Resource) -> None:
        cluster = self._cluster(resource.cluster)
        due_ms = hysteresis.due_ms(resource)
        if self.cells.get(warnings_key(key), Warnings) is not None and due_ms is None:
            due_ms = (self.now_ms // 60_000 + 1) * 60_000  # the window moves with each minute
        if cluster.due.get(key) == due_ms:
            return
        due = {k: v for k, v in cluster.due.items() if k != key}
        if due_ms is not None:
            due[key] = due_ms
        self.cells.put(cluster_key(resource.cluster), msgspec.structs.replace(cluster, due=due))

    def _count(self, resource: Resource, old: str | None, new: str | None) -> None:
        """Tell the rollup above that a member changed."""
        if resource.scope == "workload":
            key = resource_id("namespace", resource.cluster, resource.namespace)
            space = self.cells.get(key, Resource) or self._rollup_cell(key, resource)
            self._judge_rollup(key, space, rollup.moved(space.members, old, new), "workloads")
        elif resource.scope in ("node", "gitops", "namespace"):
            self._count_in_cluster(resource.cluster, old, new)

    def _count_in_cluster(self, name: str, old: str | None, new: str | None) -> None:
        key = resource_id("cluster", name)
        whole = self.cells.get(key, Resource) or self._rollup_cell(key, Resource(scope="cluster", cluster=name))
        self.cells.put(key, msgspec.structs.replace(whole, members=rollup.moved(whole.members, old, new)))
        self._judge_cluster(name)

    def _rollup_cell(self, key: str, like: Resource) -> Resource:
        self._add_key(index_key(like.cluster), key)
        scope = key.partition("/")[0]
        return Resource(
            scope=scope, cluster=like.cluster, name=key.rpartition("/")[2], since_ms=self.now_ms, seen_ms=self.now_ms
        )

    def _judge_rollup(self, key: str, resource: Resource, counts: rollup.Counts, noun: str) -> None:
        if sum(counts) == 0:
            self._forget(key, resource)
            return
        found = tuple(map(_kept, rollup.judge(counts, noun)))
        counted = msgspec.structs.replace(resource, members=counts, seen_ms=self.now_ms)
        status = worst(tuple(_fact_reason(r) for r in found)).value
        # Members were already kept from flapping; the sum follows at once.
        settled = hysteresis.settle(
            msgspec.structs.replace(counted, candidate=status, candidate_reasons=found), self.now_ms
        )
        if settled.status == resource.status:
            settled = msgspec.structs.replace(settled, since_ms=resource.since_ms)
        self._store(key, resource, settled)

    def _judge_cluster(self, name: str) -> None:
        key = resource_id("cluster", name)
        cluster = self._cluster(name)
        whole = self.cells.get(key, Resource) or self._rollup_cell(key, Resource(scope="cluster", cluster=name))
        found: list[HealthReason] = list(rollup.judge(whole.members, "namespaces, nodes and GitOps objects"))
        if cluster.silent or cluster.heartbeat_ms == 0:
            found = [reason("Silent", f"no heartbeat from {name}'s agent", UNKNOWN, "heartbeat")]
        found += [reason("CannotSee", f"{kind}: {why}", UNKNOWN, "watch") for kind, why in _blinding(cluster.lost)]
        reasons = tuple(map(_kept, found))
        status = worst(tuple(found)).value
        settled = hysteresis.settle(
            msgspec.structs.replace(whole, candidate=status, candidate_reasons=reasons, seen_ms=cluster.heartbeat_ms),
            self.now_ms,
        )
        if settled.status == whole.status:
            settled = msgspec.structs.replace(settled, since_ms=whole.since_ms)
        self._store(key, whole, settled)

    def _gone(self, row: ObjectRow) -> None:
        assessed = ASSESSORS.get((row.group, row.kind))
        if assessed is None:
            return
        key = resource_id(assessed[0], row.cluster, row.group, row.kind, row.namespace, row.name)
        resource = self.cells.get(key, Resource)
        if resource is not None:
            self._forget(key, resource)

    def _forget(self, key: str, resource: Resource) -> None:
        cluster = self._cluster(resource.cluster)
        due = {k: v for k, v in cluster.due.items() if k != key}
        self.cells.put(cluster_key(resource.cluster), msgspec.structs.replace(cluster, due=due))
        self.cells.drop(key)
        self.cells.drop(warnings_key(key))
        self._drop_key(index_key(resource.cluster), key)
        self.facts.append(tombstone(FLEET_HEALTH, key, resource.cluster))
        if resource.revision:
            self._count(resource, resource.status, None)

    def tick(self) -> None:
        """Settle what was waiting, and notice silence."""
        for name in self._keys(CLUSTERS):
            cluster = self.cells.get(cluster_key(name), Cluster)
            if cluster is None:
                continue
            self._notice_silence(cluster)
            for key in [k for k, due_ms in cluster.due.items() if due_ms <= self.now_ms]:
                resource = self.cells.get(key, Resource)
                if resource is not None:
                    self._judge(key, resource, _without_events(resource.candidate_reasons))
            self._say_again(name)

    def _notice_silence(self, cluster: Cluster) -> None:
        limit_ms = cluster.interval_ms * SILENT_AFTER_HEARTBEATS
        if cluster.silent or not cluster.heartbeat_ms or self.now_ms - cluster.heartbeat_ms <= limit_ms:
            return
        self.cells.put(cluster_key(cluster.name), msgspec.structs.replace(cluster, silent=True))
        for key in self._keys(index_key(cluster.name)):
            resource = self.cells.get(key, Resource)
            if resource is not None and resource.scope in ("workload", "node", "gitops"):
                self._judge(key, resource, resource.candidate_reasons)
        self._judge_cluster(cluster.name)

    def _say_again(self, name: str) -> None:
        key = resource_id("cluster", name)
        whole = self.cells.get(key, Resource)
        if whole is not None and whole.revision and self.now_ms - whole.published_ms >= HEARTBEAT_FACT_MS:
            again = msgspec.structs.replace(whole, revision=whole.revision + 1, published_ms=self.now_ms)
            self.cells.put(key, again)
            self.facts.append(health_fact(key, again, self._cluster(name), self.cause, self.now_ms))

    def _keys(self, key: str) -> tuple[str, ...]:
        index = self.cells.get(key, Index)
        return index.keys if index is not None else ()

    def _add_key(self, index: str, key: str) -> None:
        keys = self._keys(index)
        if key not in keys:
            self.cells.put(index, Index(keys=(*keys, key)))

    def _drop_key(self, index: str, key: str) -> None:
        self.cells.put(index, Index(keys=tuple(k for k in self._keys(index) if k != key)))


def _kept(one: HealthReason) -> Reason:
    return Reason(one.code, one.message, one.status.value, 0, one.source or "")


def _fact_reason(one: Reason) -> HealthReason:
    return reason(one.code, one.message, type(UNKNOWN)(one.status), one.source)


def _without_events(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    return tuple(r for r in reasons if r.source != "events")


def _codes(resource: Resource) -> list[tuple[str, str]]:
    return [(r.code, r.message) for r in resource.reasons]


def _blinding(lost: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Leave out kinds the cluster simply does not serve: there is nothing of them to see."""
    return ((kind, why) for kind, why in lost.items() if why != "not-found")


assert {scope for scope, _ in ASSESSORS.values()} <= set(HealthScope), "every assessed scope is a health scope"

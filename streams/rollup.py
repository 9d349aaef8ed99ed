"""Health of sites, regions and the fleet, from the health of clusters; runs where the whole fleet is seen."""

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import ValidationError

from abdrift.clock import to_datetime
from abdrift.facts.base import Evidence, SourceEvidence
from abdrift.facts.health import Health, HealthReason, HealthScope, HealthStatus
from abdrift.facts.inventory import ClusterInventory
from abdrift.partitions import FLEET_SCOPE
from abdrift.topics import FLEET_HEALTH, FLEET_REDUCED, HEALTH, INVENTORY, Topic
from streams.health import rollup
from streams.health.assess import worst
from streams.overlay import Overlay
from streams.step import Batch, Input, Outgoing, Publication, Refused, Result, publish, tombstone

FLEET = "fleet/all"


class Member(msgspec.Struct, frozen=True, tag="member"):
    """One cluster as the fleet sees it."""

    status: str = ""
    revision: int = 0
    site: str = ""
    region: str = ""


class Group(msgspec.Struct, frozen=True, tag="group"):
    """A site, a region or the fleet."""

    members: tuple[int, int, int, int] = (0, 0, 0, 0)
    status: str = "unknown"
    since_ms: int = 0
    revision: int = 0


Cell = Member | Group


class RollupStep:
    """Counts clusters by state for every site, every region and the fleet."""

    name = "rollup"
    reads: tuple[Topic, ...] = (FLEET_REDUCED,)
    writes: tuple[Topic, ...] = (FLEET_HEALTH,)
    cell_type: Any = Cell

    def process(self, cells: Mapping[str, Cell], batch: Batch) -> Result[Cell]:
        """Return what the batch changes. Pure."""
        overlay: Overlay[Cell] = Overlay(cells)
        facts: list[Outgoing] = []
        refused: list[Refused] = []
        for record in batch.inputs:
            try:
                touched = _absorb(overlay, record)
            except ValidationError as error:
                refused.append(Refused(record.cause(), "bad-fact", str(error)))
                continue
            facts += [_judge(overlay, key, record) for key in touched]
        return Result(overlay.changed, facts, refused)


def _absorb(cells: Overlay[Cell], record: Input) -> list[str]:
    """Take one fact in; return the groups whose counts it changed."""
    event = record.event
    if event is None or event.cluster is None:
        return _forget(cells, record.key or "") if record.tombstone else []
    key = f"member/{event.cluster}"
    before = cells.get(key, Member) or Member()
    if event.type == HEALTH.name:
        health = Health.model_validate(event.data)
        if health.scope is not HealthScope.CLUSTER or health.revision <= before.revision:
            return []
        after = msgspec.structs.replace(before, status=health.status.value, revision=health.revision)
    elif event.type == INVENTORY.name:
        labels = ClusterInventory.model_validate(event.data).labels
        after = msgspec.structs.replace(before, site=labels.get("site", ""), region=labels.get("region", ""))
    else:
        return []
    cells.put(key, after)
    return _move(cells, before, after)


def _forget(cells: Overlay[Cell], key: str) -> list[str]:
    """Let go of a cluster whose health was withdrawn, or of where it is, if its inventory was.

    Two steps forget it, one after the other: until the latter has, a fact of it may come that counts it again.
    """
    name = key.removeprefix(f"{HealthScope.CLUSTER}/")
    before = cells.get(f"member/{name}", Member)
    if before is None:
        return []
    after = Member() if name != key else msgspec.structs.replace(before, site="", region="")
    if after.status:
        cells.put(f"member/{name}", after)
    else:
        cells.drop(f"member/{name}")
    return _move(cells, before, after)


def _groups(member: Member) -> list[str]:
    named = [("site", member.site), ("region", member.region)]
    return [f"{scope}/{name}" for scope, name in named if name] + [FLEET]


def _move(cells: Overlay[Cell], before: Member, after: Member) -> list[str]:
    if (before.status, before.site, before.region) == (after.status, after.site, after.region):
        return []
    touched: dict[str, None] = {}
    for member, leaving in ((before, True), (after, False)):
        if not member.status:
            continue
        for key in _groups(member):
            group = cells.get(key, Group) or Group()
            counts = rollup.moved(group.members, *((member.status, None) if leaving else (None, member.status)))
            cells.put(key, msgspec.structs.replace(group, members=counts))
            touched[key] = None
    return list(touched)


def _judge(cells: Overlay[Cell], key: str, record: Input) -> Outgoing:
    group = cells.get(key, Group)
    assert group is not None, "a group is kept when its members move"
    if key != FLEET and not sum(group.members):
        cells.drop(key)
        return tombstone(FLEET_HEALTH, key, FLEET_SCOPE)
    reasons = rollup.judge(group.members, "clusters")
    status = worst(reasons).value
    since_ms = group.since_ms if status == group.status and group.since_ms else record.append_ms
    judged = msgspec.structs.replace(group, status=status, since_ms=since_ms, revision=group.revision + 1)
    cells.put(key, judged)
    return _fact(key, judged, reasons, record)


def _fact(key: str, group: Group, reasons: tuple[HealthReason, ...], record: Input) -> Outgoing:
    scope, _, name = key.partition("/")
    about = Publication(
        topic=FLEET_HEALTH,
        fact_type=HEALTH,
        subject=key,
        source="rollup",
        cause=record.cause(),
        at_ms=record.append_ms,
        scope=FLEET_SCOPE,
    )
    as_of = to_datetime(record.append_ms)
    complete = group.members[3] == 0
    model = Health(
        resource_id=key,
        revision=group.revision,
        scope=HealthScope(scope),
        name=FLEET_SCOPE if scope == FLEET_SCOPE else name,
        status=HealthStatus(group.status),
        score=rollup.score(group.members),
        reasons=reasons,
        members=rollup.members(group.members),
        since=to_datetime(group.since_ms),
        last_seen=as_of,
        evidence=Evidence(
            as_of=as_of,
            complete=complete,
            sources=(SourceEvidence(source="abdrift/health", as_of=as_of, complete=complete),),
        ),
    )
    return publish(about, model)

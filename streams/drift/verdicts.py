"""Verdicts: what is known of an owner's objects as a whole, told when it changes."""

import hashlib
from collections import Counter

import msgspec

from abdrift.clock import to_datetime
from abdrift.facts.base import ClusterRef
from abdrift.facts.drift import DriftKind, OwnerVerdict, Verdict
from abdrift.topics import FLEET_DRIFT, VERDICT
from streams.drift import activity, deleted, evidence, failing, orphaned, references
from streams.drift.cells import ClusterCell, OwnerCell
from streams.drift.work import Work
from streams.step import stable_id

_UNSAID = {"revision", "evidence"}


def weigh(work: Work, cluster: str, oid: str) -> None:
    """Tell an owner's verdict where it is news."""
    owner = work.owner(cluster, oid)
    if owner is None:
        return
    if not owner.exists:
        _retract(work, cluster, owner)
        return
    verdict = _verdict(work, cluster, owner)
    said = _digest(verdict)
    if said == owner.said:
        return
    told = msgspec.structs.replace(owner, said=said, revision=verdict.revision)
    work.put(f"owner/{cluster}/{oid}", told)
    work.say(FLEET_DRIFT, VERDICT, verdict.verdict_id, cluster, verdict)


def id_of(cluster: str, owner_id: str) -> str:
    """Return a verdict's id."""
    return stable_id("verdict", cluster, owner_id)


def take_back(work: Work, cluster: str, owner: OwnerCell) -> None:
    """Have every reader forget an owner's verdict."""
    if owner.said:
        work.forget(FLEET_DRIFT, id_of(cluster, owner.ref.id), cluster)


def _retract(work: Work, cluster: str, owner: OwnerCell) -> None:
    take_back(work, cluster, owner)
    keeps = owner.open or orphaned.labelled(work, cluster, owner.ref.id)
    gone = msgspec.structs.replace(owner, said="") if keeps else None
    work.put(f"owner/{cluster}/{owner.ref.id}", gone)


def _verdict(work: Work, cluster: str, owner: OwnerCell) -> OwnerVerdict:
    seen = work.cluster(cluster)
    states = Counter(owner.objects.values())
    kinds = {references.kind_of(owner.ref.id), *(references.kind_of(oid) for oid in owner.objects)}
    proof = evidence.of_kinds(cluster, seen, kinds)
    doubts = _doubts(work, seen, owner, kinds)
    drifts = _drifts(owner)
    verdict = Verdict.DRIFTED if drifts else Verdict.UNKNOWN if doubts else Verdict.IN_SYNC
    if deleted.is_held(seen, owner) or owner.view.remote:
        verdict = Verdict.UNKNOWN
    source = work.source(cluster, owner.view.source)
    artifact = source.artifact if source else ""
    if owner.ref.group == references.HELM_GROUP and activity.is_version(owner.view.applied, artifact):
        artifact = owner.view.applied  # a release spells an OCI artifact's revision its own way
    held_until_ms = max(owner.view.hold_until_ms, *owner.holds.values(), 0)
    held_until_ms = held_until_ms if held_until_ms > work.now_ms else 0
    return OwnerVerdict(
        verdict_id=id_of(cluster, owner.ref.id),
        revision=owner.revision + 1,
        cluster=ClusterRef(name=cluster, uid=seen.uid or None),
        owner=references.to_fact(owner.ref),
        verdict=verdict,
        reasons=(*drifts, *doubts),
        objects=len(owner.objects),
        proven=states["proven"] + states["ignored"],
        unproven=states["unproven"],
        exempt=states["exempt"],
        open_findings=len(owner.open),
        held_until=to_datetime(held_until_ms) if held_until_ms else None,
        owner_idle=not activity.is_busy(owner, work.now_ms),
        ready=owner.view.ready,
        suspended=owner.view.suspended,
        applied_revision=owner.view.applied or None,
        artifact_revision=artifact or None,
        evidence=proof,
    )


def _drifts(owner: OwnerCell) -> tuple[str, ...]:
    """Return the kinds of drift that are proven of the owner or its objects. An alert is none."""
    kinds = {key.split("/")[1] for key, proven in owner.open.items() if proven}
    return tuple(sorted(kinds - {DriftKind.ALERT.value}))


def _doubts(work: Work, seen: ClusterCell, owner: OwnerCell, kinds: set[str]) -> tuple[str, ...]:
    """Return why it can't be said that all is in sync."""
    view, doubts = owner.view, []
    if view.remote:
        doubts.append("remote-cluster")
    if owner.manifest_error:
        doubts.append("manifest-unreadable")
    elif not owner.known:
        doubts.append("inventory-unknown")
    doubts += _blind_spots(seen, kinds)
    if deleted.is_held(seen, owner):
        doubts.append("mass-deletion")
    states = set(owner.objects.values())
    doubts += [f"objects-{state}" for state in ("unknown", "unproven", "settling", "missing") if state in states]
    if work.now_ms < owner.settling_until_ms:
        doubts.append("settling")
    if view.deleting:
        doubts.append("deleting")
    if view.reason in failing.WAITING_REASONS:
        doubts.append("waiting-for-dependency")
    return tuple(doubts)


def _blind_spots(seen: ClusterCell, kinds: set[str]) -> list[str]:
    if not seen.heartbeat_ms:
        return ["no-heartbeat"]
    if seen.silent:
        return ["silent"]
    return [f"{why}:{kind.removeprefix('/')}" for kind in sorted(kinds) if (why := evidence.weakness(seen, kind))]


def _digest(verdict: OwnerVerdict) -> str:
    text = verdict.model_dump_json(exclude=_UNSAID) + str(verdict.evidence.complete)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

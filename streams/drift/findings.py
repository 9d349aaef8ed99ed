"""Findings: they open, change and close, each told once, and are forgotten a day after."""

import hashlib
from collections.abc import Sequence

import msgspec

from abdrift.clock import to_datetime
from abdrift.facts.base import ClusterRef, Evidence, ObjectRef
from abdrift.facts.drift import Certainty, DriftKind, FieldChange, Finding, FindingState, Times
from abdrift.topics import FINDING, FLEET_DRIFT
from abdrift.urls import masked
from streams.drift import evidence, references
from streams.drift.cells import FindingCell, Ref, RemoteCell, TombsCell
from streams.drift.remotes import detail_of
from streams.drift.work import Draft, Work
from streams.step import stable_id

MAX_FIELDS = 64
DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_UNSAID = {"revision", "times", "evidence", "owner_generation", "owner_artifact_revision"}
"""What may move without being news."""


def settle(work: Work) -> None:
    """Tell what the row at hand changed about findings."""
    reports, work.reports = work.reports, {}
    for (cluster, kind, oid), said in reports.items():
        key = f"finding/{kind}/{cluster}/{oid}"
        cell = work.get(key, FindingCell)
        if isinstance(said, Draft):
            _open_or_change(work, key, cell, said)
        elif cell is not None and cell.open:
            close(work, cluster, key, cell, said)
            bury(work, cluster, cell.finding_id, key)


def _open_or_change(work: Work, key: str, cell: FindingCell | None, draft: Draft) -> None:
    before = Finding.model_validate_json(cell.body) if cell and cell.open else None
    signature = "\n".join(sorted(change.path for change in draft.fields))
    if cell is not None and before is None:
        came_back = cell.signature == signature and cell.closed_because == "corrected"
        recurrences = Finding.model_validate_json(cell.body).recurrences + 1 if came_back else 0
    else:
        recurrences = before.recurrences if before else 0
    finding = _finding(work, draft, before).model_copy(update={"recurrences": recurrences})
    said = digest(finding)
    if cell is not None and before is not None and said == cell.said:
        return
    _tell(
        work,
        draft.cluster,
        key,
        finding,
        FindingCell(
            finding_id=finding.finding_id,
            open=True,
            body=b"",
            said=said,
            owner=draft.owner.id if draft.owner else "",
            signature=signature,
        ),
    )


def close(work: Work, cluster: str, key: str, cell: FindingCell, because: str) -> None:
    """Tell that an open finding is over. `key` is its cell's."""
    before = Finding.model_validate_json(cell.body)
    finding = before.model_copy(
        update={
            "state": FindingState.CLOSED,
            "revision": before.revision + 1,
            "closed_because": because,
            "times": before.times.model_copy(update={"closed_at": to_datetime(work.now_ms)}),
        }
    )
    closed = msgspec.structs.replace(cell, open=False, closed_because=because, said=digest(finding))
    _tell(work, cluster, key, finding, closed)


def _tell(work: Work, cluster: str, key: str, finding: Finding, cell: FindingCell) -> None:
    body = finding.model_dump_json(exclude_none=True).encode()
    work.put(key, msgspec.structs.replace(cell, body=body))
    work.say(FLEET_DRIFT, FINDING, finding.finding_id, cluster, finding)
    owner = work.owner(cluster, cell.owner) if cell.owner else None
    if owner is not None:
        still = {each: proven for each, proven in owner.open.items() if each != key}
        if cell.open:
            still[key] = finding.certainty is Certainty.PROVEN
        work.put_owner(cluster, msgspec.structs.replace(owner, open=still))


def _finding(work: Work, draft: Draft, before: Finding | None) -> Finding:
    cause = work.cause
    finding_id = (
        before.finding_id
        if before
        else stable_id(
            draft.cluster,
            draft.kind,
            draft.ref.id,
            cause.topic,
            str(cause.partition),
            str(cause.offset),
            str(cause.row),
        )
    )
    return Finding(
        finding_id=finding_id,
        revision=before.revision + 1 if before else 1,
        state=FindingState.OPEN,
        kind=draft.kind,
        cluster=ClusterRef(name=draft.cluster, uid=work.cluster(draft.cluster).uid or None),
        object=references.to_fact(draft.ref),
        owner=_owner(draft.owner),
        certainty=draft.certainty,
        message=draft.message,
        fields=draft.fields[:MAX_FIELDS],
        fields_omitted=max(0, len(draft.fields) - MAX_FIELDS),
        managers=draft.managers,
        times=Times(
            changed_at=to_datetime(draft.changed_ms) if draft.changed_ms else None,
            observed_at=to_datetime(draft.observed_ms) if draft.observed_ms else None,
            opened_at=before.times.opened_at if before else to_datetime(work.now_ms),
        ),
        reconcile_corrects=draft.corrects,
        reconcile_corrects_reason=draft.corrects_reason,
        contested=draft.contested,
        held_until=to_datetime(draft.held_until_ms) if draft.held_until_ms else None,
        applied_revision=draft.applied_revision or None,
        desired=draft.desired,
        attempted=draft.attempted,
        reason=draft.reason or None,
        source=references.to_fact(draft.source.ref) if draft.source else None,
        source_url=masked(draft.source.url) or None if draft.source else None,
        owner_generation=draft.owner_generation,
        owner_artifact_revision=draft.artifact_revision or None,
        evidence=_evidence(work, draft),
    )


def _owner(ref: Ref | None) -> ObjectRef | None:
    return references.to_fact(ref) if ref else None


def _evidence(work: Work, draft: Draft) -> Evidence:
    others = draft.sources
    if draft.remote_url:
        remote = work.get(f"remote/{draft.remote_url}", RemoteCell) or RemoteCell()
        others = (*others, evidence.remote(draft.remote_url, remote.observed_ms, detail_of(remote).error))
    return evidence.of_kinds(draft.cluster, work.cluster(draft.cluster), draft.kinds, others)


def digest(finding: Finding) -> str:
    """Return a digest of what is news in a finding."""
    text = finding.model_dump_json(exclude=_UNSAID) + str(finding.evidence.complete)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def managers_of(fields: Sequence[FieldChange]) -> tuple[str, ...]:
    """Return who wrote the fields, each once."""
    return tuple(dict.fromkeys(change.by.manager for change in fields if change.by))


def bury(work: Work, cluster: str, finding_id: str, key: str = "") -> None:
    """Have a closed finding forgotten a day from now, rounded up to the hour. `key` is its cell's, if it stays."""
    hour = work.now_ms // _HOUR_MS
    tombs_key = f"tombs/{cluster}/{hour}"
    tombs = work.get(tombs_key, TombsCell) or TombsCell()
    work.put(tombs_key, TombsCell(finding_ids=(*tombs.finding_ids, f"{finding_id} {key}")))
    work.wake(cluster, f"tombs|{hour}", (hour + 1) * _HOUR_MS + DAY_MS)


def forget(work: Work, cluster: str, hour: str) -> None:
    """Publish the tombstones of what was closed in an hour."""
    tombs_key = f"tombs/{cluster}/{hour}"
    tombs = work.get(tombs_key, TombsCell)
    for each in tombs.finding_ids if tombs else ():
        finding_id, _, key = each.partition(" ")
        work.forget(FLEET_DRIFT, finding_id, cluster)
        cell = work.get(key, FindingCell) if key else None
        if cell is not None and not cell.open and cell.finding_id == finding_id:
            work.put(key, None)
    work.put(tombs_key, None)


def still_open(work: Work, cluster: str, kind: DriftKind, oid: str) -> Finding | None:
    """Return the open finding of that kind about an object, as last told."""
    cell = work.finding(cluster, kind, oid)
    return Finding.model_validate_json(cell.body) if cell else None

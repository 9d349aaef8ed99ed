"""Turns a cause's members into the incident that people read."""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator

from abdrift.clock import to_datetime
from abdrift.facts.base import ClusterRef, Evidence, SourceEvidence
from abdrift.facts.drift import GitCommit
from abdrift.facts.incidents import (
    BlastRadius,
    CauseKind,
    Incident,
    IncidentCause,
    IncidentMember,
    IncidentState,
    Severity,
    Symptom,
)
from streams.incidents.cells import GroupCell, Mark, SymptomCell, cluster_of
from streams.incidents.work import Work

MAX_MEMBERS = 200
"""Listed of one incident: at most some 200 KB of a record that may have 1 MB."""
MAX_NAMED = 50
"""Sites and environments counted by name; the others together."""
_SHORT_DIGITS = 7
_LABELS = ("site", "region", "environment")
_SPEECH: dict[str, tuple[str, str]] = {
    Symptom.FAILING: ("fails in", "failed in"),
    Symptom.BEHIND: ("is not applied in", "was not applied in"),
    Symptom.SILENT: ("is silent:", "was silent:"),
    Symptom.NOT_READY: ("has nodes that are not ready:", "had nodes that were not ready:"),
}

Member = tuple[str, Mark]


def incident(work: Work, group: GroupCell) -> Incident:
    """Return the incident of a cause as it stands."""
    note = group.incident
    assert note is not None, "only incidents are told"
    members = list(_members(work, group.place.key))
    lasting = [(name, mark) for name, mark in members if mark.symptoms]
    listed = heapq.nsmallest(MAX_MEMBERS, members, key=_order)
    radius = _blast_radius(work, members, lasting)
    return Incident(
        incident_id=note.incident_id,
        revision=note.revision,
        state=IncidentState.OPEN,
        severity=_severity(lasting, note.severity),
        cause=_cause(group),
        title=_title(group, radius, [mark.symptom for _, mark in lasting or members]),
        blast_radius=radius,
        members=tuple(_member(work, one) for one in listed),
        members_omitted=len(members) - len(listed),
        first=IncidentMember.model_validate_json(note.first),
        outcomes=dict(sorted(group.outcomes.items())),
        opened_at=to_datetime(note.opened_ms),
        changed_at=to_datetime(work.now_ms),
        evidence=_evidence(work, listed),
    )


def first(work: Work, cause: str) -> IncidentMember:
    """Return the member of a cause that was seen first."""
    return _member(work, min(_members(work, cause), key=_order))


def _members(work: Work, cause: str) -> Iterator[Member]:
    for _, shard in work.shards(cause):
        yield from shard.marks.items()


def _order(member: Member) -> tuple[bool, int, str]:
    """Lasting ones first, then by when they began."""
    name, mark = member
    return not mark.symptoms, mark.told_ms, name


def _member(work: Work, member: Member) -> IncidentMember:
    name, mark = member
    lead = work.symptom(mark.lead)
    assert lead is not None, "symptoms of members are kept as long as the members"
    known = IncidentMember.model_validate_json(lead.body)
    cluster = work.cluster(lead.cluster)
    ids = mark.symptoms or (mark.lead,)
    return known.model_copy(
        update={
            "cluster": ClusterRef(name=cluster_of(name), uid=cluster.uid or None),
            "labels": {label: cluster.labels[label] for label in _LABELS if label in cluster.labels},
            "finding_ids": () if known.resource_id else ids,
            "until": None if mark.symptoms else to_datetime(mark.until_ms),
        }
    )


def _cause(group: GroupCell) -> IncidentCause:
    place = group.place
    commit = GitCommit.model_validate_json(group.commit) if group.commit else None
    return IncidentCause(kind=CauseKind(place.kind), name=place.name, source=place.source or None, commit=commit)


def _blast_radius(work: Work, members: list[Member], lasting: list[Member]) -> BlastRadius:
    now = {cluster_of(name) for name, _ in lasting}
    return BlastRadius(
        clusters=len(now),
        clusters_ever=len({cluster_of(name) for name, _ in members}),
        objects=len(lasting),
        symptoms=dict(sorted(Counter(mark.symptom for _, mark in lasting).items())),
        clusters_by_site=_counted(work, now, "site"),
        clusters_by_environment=_counted(work, now, "environment"),
    )


def _counted(work: Work, clusters: Iterable[str], label: str) -> dict[str, int]:
    found = Counter(work.cluster(name).labels.get(label) or "unlabelled" for name in clusters)
    ranked = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    others = sum(count for _, count in ranked[MAX_NAMED:])
    return dict(ranked[:MAX_NAMED]) | ({"other": others} if others else {})


def _severity(lasting: list[Member], before: str) -> Severity:
    if not lasting and before:
        return Severity(before)
    late = all(mark.symptom == Symptom.BEHIND for _, mark in lasting)
    return Severity.WARNING if late else Severity.CRITICAL


def _title(group: GroupCell, radius: BlastRadius, symptoms: list[str]) -> str:
    is_past = not radius.objects
    count = radius.clusters_ever if is_past else radius.clusters
    clusters = f"{count} cluster{'s' if count != 1 else ''}"
    cause = _cause(group)
    worst = Symptom.FAILING if Symptom.FAILING in symptoms else Symptom(Counter(symptoms).most_common(1)[0][0])
    verb = _SPEECH[worst][is_past]
    match cause.kind:
        case CauseKind.GIT_REVISION:
            return f"{_short(cause.name)} {verb} {clusters}{_blame(cause.commit)}"
        case CauseKind.CHART_VERSION:
            return f"Chart {cause.name} {verb} {clusters}"
        case CauseKind.DEPENDENCY:
            return f"{cause.name} {'could' if is_past else 'can'} not be fetched in {clusters}"
        case CauseKind.NODE_POOL:
            return f"Node pool {cause.name} {verb} {len(symptoms)}"
        case CauseKind.FLEET:
            return f"The fleet {verb} {clusters} at {len(radius.clusters_by_site) or 'several'} sites"
        case CauseKind.SITE:
            return f"Site {cause.name} {verb} {clusters}"


def _short(revision: str) -> str:
    """Return a revision as people write it: `main@1a2b3c4`."""
    name, _, digest = revision.rpartition("@")
    digest = digest.rpartition(":")[2][:_SHORT_DIGITS]
    return f"{name}@{digest}" if name else revision


def _blame(commit: GitCommit | None) -> str:
    if commit is None or not (commit.message or commit.author):
        return ""
    said = f"“{commit.message}”" if commit.message else "a commit"
    return f": {said} by {commit.author}" if commit.author else f": {said}"


def _evidence(work: Work, listed: list[Member]) -> Evidence:
    """Return how old and how complete the evidence of the members that last and are listed is."""
    cells = [cell for _, mark in listed if mark.symptoms and (cell := work.symptom(mark.lead))]
    as_of_ms = min((cell.as_of_ms for cell in cells), default=work.now_ms)
    as_of, complete = to_datetime(as_of_ms) if as_of_ms else None, all(cell.is_complete for cell in cells)
    sources = [SourceEvidence(source=name, as_of=as_of, complete=complete) for name in _sources(cells)]
    return Evidence(as_of=as_of, complete=complete, sources=tuple(sources))


def _sources(cells: Iterable[SymptomCell]) -> list[str]:
    return sorted({cell.writer for cell in cells})

"""Facts in: which symptoms there are. Duplicates and stale revisions change nothing."""

from collections.abc import Sequence

from msgspec.structs import replace

from abdrift.clock import to_ms
from abdrift.facts.base import ClusterRef, Evidence
from abdrift.facts.commands import Outcome
from abdrift.facts.drift import DriftKind, Finding, FindingState, GitCommit
from abdrift.facts.health import Health, HealthScope, HealthStatus
from abdrift.facts.incidents import CauseKind, IncidentMember, Symptom
from abdrift.facts.inventory import ClusterInventory
from streams.incidents import causes, groups, life
from streams.incidents.cells import CommandCell, CommitCell, Place, SiteCell, SymptomCell
from streams.incidents.work import Work

MAX_MESSAGE_CHARS = 300
KEPT_MS = 3_600_000
"""How long a symptom that is over, or a command, is remembered against late duplicates."""
PRUNE_MS = 600_000
_SILENT = "Silent"
_STUCK = "ProgressDeadlineExceeded"
"""A Deployment's word for a rollout that made no progress for its `progressDeadlineSeconds`."""


def take_inventory(work: Work, inventory: ClusterInventory) -> None:
    """Take in what a cluster is."""
    name, known = inventory.cluster.name, work.cluster(inventory.cluster.name)
    site, before = inventory.labels.get("site", ""), known.labels.get("site", "")
    fresh = replace(known, uid=inventory.cluster.uid or "", labels=dict(inventory.labels), is_counted=True)
    work.put(f"cluster/{name}", fresh)
    if not known.is_counted:
        work.alter(clusters=work.clock.clusters + 1)
        _count_site(work, site, 1)
    elif site != before:
        _count_site(work, before, -1)
        _count_site(work, site, 1)


def take_finding(work: Work, finding: Finding) -> None:
    """Take in that something is behind or failing, or no longer."""
    symptom_id, known = finding.finding_id, work.symptom(finding.finding_id)
    if known and finding.revision <= known.revision:
        return
    places = causes.of_finding(finding) if finding.state is FindingState.OPEN else ()
    if not places:
        if known:
            _end(work, symptom_id, known, finding.revision, "recovered")
        return
    symptom = Symptom.BEHIND if finding.kind is DriftKind.BEHIND else Symptom.FAILING
    member = IncidentMember(
        cluster=finding.cluster,
        object=finding.object,
        symptom=symptom,
        message=finding.message[:MAX_MESSAGE_CHARS],
        since=finding.times.opened_at,
    )
    fresh = _cell(work, member, finding.revision, places, finding.evidence)
    _begin(work, symptom_id, fresh, causes.commit_of(finding))


def take_health(work: Work, health: Health) -> None:
    """Take in whether a cluster is heard from, a node is ready, and a rollout goes on."""
    if health.cluster is None:
        return
    if health.scope is HealthScope.CLUSTER:
        _take_cluster(work, health, health.cluster)
    elif health.scope is HealthScope.NODE:
        _take_node(work, health, health.cluster)
    elif health.scope is HealthScope.WORKLOAD:
        _take_workload(work, health, health.cluster)


def take_outcome(work: Work, subject: str, outcome: Outcome) -> None:
    """Take in what came of a command, for the causes of what it was to correct."""
    key = f"command/{subject}"
    known = work.get(key, CommandCell)
    if known and outcome.revision <= known.revision:
        return
    counted = known.groups if known else _causes_of(work, outcome.finding_ids)
    if not counted:
        return
    result = outcome.result.value
    work.put(key, CommandCell(outcome.revision, result, counted, work.now_ms))
    for cause in counted:
        group = work.group(cause)
        if group is None:
            continue
        outcomes = dict(group.outcomes)
        if known and outcomes.get(known.result):
            outcomes[known.result] -= 1
        outcomes[result] = outcomes.get(result, 0) + 1
        work.put_group(replace(group, outcomes={name: count for name, count in outcomes.items() if count}))
        life.touch(work, cause)


def take_tombstone(work: Work, key: str) -> None:
    """Forget a finding, the health of a node or cluster, or a cluster as a whole."""
    known = work.symptom(key)
    if known is not None:
        _end(work, key, known, known.revision, "forgotten")
    elif work.cluster(key).is_counted:
        _forget_cluster(work, key)


def prune(work: Work) -> None:
    """Forget symptoms that are long over and listed nowhere, and commands and commits nobody tells more of."""
    before_ms = work.now_ms - KEPT_MS
    past = [(key, cell) for key, cell in work.each(SymptomCell) if 0 < cell.until_ms < before_ms]
    for key, cell in past:
        if not any(place.key in work.clock.open for place in cell.places):
            work.drop(key)
    past_words = [key for key, cell in work.each(CommandCell) if cell.seen_ms < before_ms]
    past_words += [key for key, cell in work.each(CommitCell) if cell.seen_ms < before_ms]
    for key in past_words:
        work.drop(key)


def _take_cluster(work: Work, health: Health, ref: ClusterRef) -> None:
    cluster = work.cluster(ref.name)
    if health.revision <= cluster.health_revision:
        return
    work.put(f"cluster/{ref.name}", replace(cluster, health_revision=health.revision))
    known = work.symptom(health.resource_id)
    said = [reason for reason in health.reasons if reason.code == _SILENT]
    # A cluster that nobody has ever heard is not yet connected, rather than lost.
    if said and health.last_seen is not None:
        member = IncidentMember(
            cluster=ref,
            symptom=Symptom.SILENT,
            resource_id=health.resource_id,
            message=said[0].message[:MAX_MESSAGE_CHARS],
            since=health.since,
        )
        places = causes.of_silence(cluster.labels)
        _begin(work, health.resource_id, _cell(work, member, health.revision, places, health.evidence))
    elif known is not None:
        _end(work, health.resource_id, known, health.revision, "recovered")


def _take_node(work: Work, health: Health, ref: ClusterRef) -> None:
    is_failing = health.status is HealthStatus.FAILING
    places = causes.of_node(health, ref.name, work.cluster(ref.name).labels) if is_failing else ()
    _take_object(work, health, ref, Symptom.NOT_READY, places)


def _take_workload(work: Work, health: Health, ref: ClusterRef) -> None:
    # Every rollout has a moment in which something is not available: only one that was given up counts.
    is_stuck = health.status is HealthStatus.FAILING and any(one.code == _STUCK for one in health.reasons)
    places = causes.of_rollout(health.rollout_revision) if is_stuck and health.rollout_revision else ()
    _take_object(work, health, ref, Symptom.FAILING, places)


def _take_object(work: Work, health: Health, ref: ClusterRef, symptom: Symptom, places: tuple[Place, ...]) -> None:
    """Take in an object's health: a symptom where it may have causes, and its end once it is seen to be otherwise."""
    known = work.symptom(health.resource_id)
    if known and health.revision <= known.revision:
        return
    if places:
        member = IncidentMember(
            cluster=ref,
            object=health.object,
            symptom=symptom,
            resource_id=health.resource_id,
            message="; ".join(reason.message for reason in health.reasons)[:MAX_MESSAGE_CHARS],
            since=health.since,
        )
        fresh = _cell(work, member, health.revision, places, health.evidence)
        _begin(work, health.resource_id, fresh, _commit_of(work, places))
    elif known is not None and health.status is not HealthStatus.UNKNOWN:
        _end(work, health.resource_id, known, health.revision, "recovered")


def _commit_of(work: Work, places: Sequence[Place]) -> GitCommit | None:
    """Return what a finding said of a revision not long ago."""
    found = next((cell for place in places if (cell := work.get(f"commit/{place.key}", CommitCell))), None)
    return GitCommit.model_validate_json(found.body) if found else None


def _cell(
    work: Work, member: IncidentMember, revision: int, places: tuple[Place, ...], evidence: Evidence
) -> SymptomCell:
    ref = member.object
    name = f"{ref.group}/{ref.kind}/{ref.namespace or ''}/{ref.name}" if ref else ""
    return SymptomCell(
        revision=revision,
        symptom=member.symptom.value,
        cluster=member.cluster.name,
        member=f"{member.cluster.name}|{name}",
        body=member.model_dump_json(exclude_none=True).encode(),
        places=places,
        told_ms=work.now_ms,
        as_of_ms=to_ms(evidence.as_of) if evidence.as_of else 0,
        is_complete=evidence.complete,
        writer="abdrift/health" if member.resource_id else "abdrift/drift",
    )


def _begin(work: Work, symptom_id: str, fresh: SymptomCell, commit: GitCommit | None = None) -> None:
    """Take a symptom that lasts: new, of another cause than before, or told of once more."""
    known, key = work.symptom(symptom_id), f"symptom/{symptom_id}"
    if known is not None and not known.until_ms and _keys(known.places) == _keys(fresh.places):
        work.put(key, replace(fresh, told_ms=known.told_ms, places=known.places))
        _note_commit(work, known.places, commit)
        if (known.body, known.is_complete) != (fresh.body, fresh.is_complete):
            for place in known.places:
                life.touch(work, place.key)
        return
    if known is not None and not known.until_ms:
        _leave(work, symptom_id, known, "superseded")
    work.put(key, fresh)
    groups.join(work, symptom_id, fresh)
    _note_commit(work, fresh.places, commit)
    life.weigh(work, fresh.places)


def _end(work: Work, symptom_id: str, known: SymptomCell, revision: int, how: str) -> None:
    if not known.until_ms:
        _leave(work, symptom_id, known, how)
    work.put(f"symptom/{symptom_id}", replace(known, revision=revision, until_ms=known.until_ms or work.now_ms))


def _leave(work: Work, symptom_id: str, known: SymptomCell, how: str) -> None:
    groups.leave(work, symptom_id, known, how)
    for place in known.places:
        life.touch(work, place.key)


def _note_commit(work: Work, places: Sequence[Place], commit: GitCommit | None) -> None:
    """Keep who made a revision, and why, once somebody tells, and pass it on without delay."""
    if commit is None or not (commit.author or commit.message):
        return
    body = commit.model_dump_json(exclude_none=True).encode()
    for place in places:
        if place.kind == CauseKind.GIT_REVISION:
            _keep_commit(work, place, body)
        group = work.group(place.key)
        if group is not None and not group.commit:
            work.put_group(replace(group, commit=body))
            life.tell_at_once(work, place.key)


def _keep_commit(work: Work, place: Place, body: bytes) -> None:
    """Keep a commit for rollouts that fail minutes after the last cluster has fetched it."""
    key = f"commit/{place.key}"
    known = work.get(key, CommitCell)
    if known is None or work.now_ms - known.seen_ms >= PRUNE_MS:
        work.put(key, CommitCell(body, work.now_ms))


def _causes_of(work: Work, finding_ids: Sequence[str]) -> tuple[str, ...]:
    found = (work.symptom(finding_id) for finding_id in finding_ids)
    return tuple(dict.fromkeys(place.key for symptom in found if symptom for place in symptom.places))


def _forget_cluster(work: Work, name: str) -> None:
    known = work.cluster(name)
    ids = [key.removeprefix("symptom/") for key, cell in work.each(SymptomCell) if cell.cluster == name]
    for symptom_id in sorted(ids):
        symptom = work.symptom(symptom_id)
        assert symptom is not None, "it was seen just now"
        _end(work, symptom_id, symptom, symptom.revision, "forgotten")
    work.drop(f"cluster/{name}")
    work.alter(clusters=work.clock.clusters - 1)
    _count_site(work, known.labels.get("site", ""), -1)


def _count_site(work: Work, site: str, change: int) -> None:
    if not site:
        return
    count = (work.get(f"site/{site}", SiteCell) or SiteCell()).clusters + change
    if count > 0:
        work.put(f"site/{site}", SiteCell(clusters=count))
    else:
        work.drop(f"site/{site}")


def _keys(places: Sequence[Place]) -> tuple[str, ...]:
    return tuple(place.key for place in places)

"""A fleet's facts as its writers would tell them, of any size: for the page's tests and its measuring."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from abdrift.facts.base import ClusterRef, Evidence, ObjectRef, SourceEvidence
from abdrift.facts.commands import BreakerState, Command, Outcome, OutcomeResult, Verb
from abdrift.facts.drift import (
    Corrects,
    DriftKind,
    FieldChange,
    FieldManager,
    Finding,
    FindingState,
    GitCommit,
    OwnerVerdict,
    Times,
    Verdict,
)
from abdrift.facts.health import Health, HealthReason, HealthScope, HealthStatus
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
from abdrift.facts.inventory import ClusterInventory, GitSource
from abdrift.latest import Change
from abdrift.topics import (
    BREAKER,
    COMMAND,
    FINDING,
    FLEET_COMMANDS,
    FLEET_DECISIONS,
    FLEET_DRIFT,
    FLEET_HEALTH,
    FLEET_INCIDENTS,
    FLEET_INVENTORY,
    FLEET_OUTCOMES,
    HEALTH,
    INCIDENT,
    INVENTORY,
    OUTCOME,
    VERDICT,
    FactType,
    Topic,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

    from abdrift.cloudevents import CloudEvent

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
REGIONS = {
    "eu-central": ("ber", "fra", "ham", "muc", "prg", "vie", "waw", "zrh"),
    "eu-north": ("cph", "hel", "osl", "sto"),
    "eu-south": ("ath", "bcn", "lis", "mad", "mil", "rom"),
    "eu-west": ("ams", "bru", "dub", "lon", "lux", "man", "par"),
    "us-east": ("atl", "bos", "iad", "mia", "nyc"),
    "us-west": ("den", "lax", "phx", "sea", "sfo"),
}
BAD_REVISION = "main@sha1:9f3c2b7d41e8a05566c7d9e0f1a2b3c4d5e6f708"


def moment() -> datetime:
    """The present, for where the page's server has a clock of its own."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Said:
    """A fact on its way to a topic; `event` None takes what was said of the key back."""

    topic: Topic
    key: str
    event: CloudEvent | None
    cluster: str | None

    def change(self, append_ms: int = 0) -> Change:
        """Return what a reader makes of it."""
        value = self.event.encode() if self.event else None
        return Change(self.topic.name, self.key, value, append_ms or int(NOW.timestamp() * 1000))


def said(
    topic: Topic, fact: FactType, key: str, data: BaseModel, cluster: str | None, at: datetime | None = None
) -> Said:
    at = at or NOW
    event = fact.event(key, data, event_id=f"{key}-{at.isoformat()}", source="/tests", at=at, cluster=cluster)
    return Said(topic, key, event, cluster)


def evidence(cluster: str, at: datetime | None = None, *, complete: bool = True) -> Evidence:
    at = at or NOW
    source = SourceEvidence(source=f"kubernetes/{cluster}", as_of=at, complete=complete)
    return Evidence(as_of=at, complete=complete, sources=(source,))


def inventory(cluster: str, **labels: str) -> Said:
    data = ClusterInventory(
        cluster=ClusterRef(name=cluster, uid=f"uid-of-{cluster}"),
        labels=labels,
        declared=True,
        kubernetes_version="v1.34.4",
        git_sources=(GitSource(url="https://git.example/fleet.git", ref="refs/heads/main"),),
        inventoried_objects=412,
        first_seen=NOW - timedelta(days=40),
        last_seen=NOW,
        evidence=evidence(cluster),
    )
    return said(FLEET_INVENTORY, INVENTORY, cluster, data, cluster)


def health(
    cluster: str, status: str = "healthy", *, at: datetime | None = None, why: str = "", revision: int = 1
) -> Said:
    at, state = at or NOW, HealthStatus(status)
    reasons = (HealthReason(code="NotReady", message=why, status=state, since=at, source="condition"),) if why else ()
    is_known = state is not HealthStatus.UNKNOWN
    key = f"cluster/{cluster}"
    data = Health(
        resource_id=key,
        revision=revision,
        scope=HealthScope.CLUSTER,
        cluster=ClusterRef(name=cluster),
        name=cluster,
        status=state,
        score={"healthy": 100, "degraded": 50}.get(status, 0),
        reasons=reasons,
        since=at - timedelta(minutes=7),
        last_seen=at - timedelta(seconds=4) if is_known else at - timedelta(minutes=21),
        evidence=evidence(cluster, at, complete=is_known),
    )
    return said(FLEET_HEALTH, HEALTH, key, data, cluster, at)


def deployment(name: str, namespace: str = "shop") -> ObjectRef:
    return ObjectRef(group="apps", version="v1", kind="Deployment", namespace=namespace, name=name)


def kustomization(name: str) -> ObjectRef:
    return ObjectRef(
        group="kustomize.toolkit.fluxcd.io", version="v1", kind="Kustomization", namespace="flux-system", name=name
    )


def changed(cluster: str, finding_id: str, **given: Any) -> Said:
    """A hand edit, as `kubectl edit` makes it."""
    by = FieldManager(manager="kubectl-edit", operation="Update", time=NOW - timedelta(minutes=6))
    fields = (
        FieldChange(
            path="/spec/template/spec/containers/0/image",
            op="replace",
            old="registry.example/shop/checkout:1.14.2",
            new="registry.example/shop/checkout:1.14.2-debug",
            by=by,
        ),
        FieldChange(path="/spec/template/spec/containers/0/env/1", op="add", new={"name": "LOG", "value": "9"}, by=by),
        FieldChange(path="/metadata/annotations/team.example~1owner", op="remove", old="shop"),
    )
    values = {
        "finding_id": finding_id,
        "revision": 1,
        "state": FindingState.OPEN,
        "kind": DriftKind.CHANGED,
        "cluster": ClusterRef(name=cluster),
        "object": deployment("checkout"),
        "owner": kustomization("apps"),
        "message": "Deployment shop/checkout: 3 fields differ from what Git says",
        "fields": fields,
        "managers": ("kubectl-edit",),
        "times": Times(changed_at=NOW - timedelta(minutes=6), opened_at=NOW - timedelta(minutes=6)),
        "reconcile_corrects": Corrects.YES,
        "evidence": evidence(cluster),
        **given,
    }
    return said(FLEET_DRIFT, FINDING, finding_id, Finding(**values), cluster)


def failing(cluster: str, finding_id: str) -> Said:
    """What a bad commit does."""
    return changed(
        cluster,
        finding_id,
        kind=DriftKind.FAILING,
        object=kustomization("apps"),
        owner=None,
        message=f"Kustomization flux-system/apps cannot apply {BAD_REVISION}: Deployment shop/cart is invalid: "
        "spec.template.spec.containers[0].image: Required value",
        fields=(),
        managers=(),
        desired=bad_commit(),
        reconcile_corrects=Corrects.NO,
    )


def bad_commit() -> GitCommit:
    return GitCommit(
        revision=BAD_REVISION,
        author="Jo Fremd",
        message="cart: take the image from the new registry",
        time=NOW - timedelta(minutes=9),
    )


def verdict(cluster: str, owner: str, word: Verdict = Verdict.IN_SYNC) -> Said:
    key = f"verdict-{cluster}-{owner}"
    data = OwnerVerdict(
        verdict_id=key,
        revision=1,
        cluster=ClusterRef(name=cluster),
        owner=kustomization(owner),
        verdict=word,
        objects=120,
        proven=120 if word is not Verdict.UNKNOWN else 87,
        ready=True,
        applied_revision="main@sha1:4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        evidence=evidence(cluster),
    )
    return said(FLEET_DRIFT, VERDICT, key, data, cluster)


def corrected(cluster: str, command_id: str, finding_id: str) -> tuple[Said, Said]:
    """A command for a finding, and that it worked."""
    issued = NOW - timedelta(minutes=5)
    command = Command(
        command_id=command_id,
        verb=Verb.RECONCILE,
        cluster=ClusterRef(name=cluster),
        target=kustomization("apps"),
        finding_ids=(finding_id,),
        reason="changed: Deployment shop/checkout",
        policy="default@3",
        issued_at=issued,
        expires_at=issued + timedelta(minutes=2),
        fencing=7,
    )
    outcome = Outcome(
        command_id=command_id,
        revision=2,
        cluster=ClusterRef(name=cluster),
        verb=Verb.RECONCILE,
        target=kustomization("apps"),
        finding_ids=(finding_id,),
        result=OutcomeResult.CORRECTED,
        issued_at=issued,
        received_at=issued + timedelta(milliseconds=40),
        corrected_at=issued + timedelta(milliseconds=700),
        finished_at=issued + timedelta(milliseconds=700),
    )
    return (
        said(FLEET_COMMANDS, COMMAND, command_id, command, cluster, issued),
        said(FLEET_OUTCOMES, OUTCOME, command_id, outcome, cluster, issued),
    )


def incident(members: dict[str, str], *, incident_id: str = "inc-1", state: str = "open", author: str = "") -> Said:
    """One bad revision; `members` are clusters by name with their sites."""
    commit = bad_commit()
    told = [
        IncidentMember(
            cluster=ClusterRef(name=name),
            labels={"site": site},
            object=kustomization("apps"),
            symptom=Symptom.FAILING,
            message="cannot apply",
            since=NOW - timedelta(minutes=8),
        )
        for name, site in members.items()
    ]
    sites = {site: sum(1 for each in members.values() if each == site) for site in members.values()}
    is_open = state == "open"
    data = Incident(
        incident_id=incident_id,
        revision=3,
        state=IncidentState(state),
        severity=Severity.CRITICAL,
        cause=IncidentCause(
            kind=CauseKind.GIT_REVISION,
            name=BAD_REVISION,
            source="https://git.example/fleet.git",
            commit=commit.model_copy(update={"author": author}) if author else commit,
        ),
        title=f"{BAD_REVISION} fails in {len(members)} clusters",
        blast_radius=BlastRadius(
            clusters=len(members) if is_open else 0,
            clusters_ever=len(members),
            objects=len(members),
            clusters_by_site=sites if is_open else {},
        ),
        members=tuple(told),
        first=told[0],
        opened_at=NOW - timedelta(minutes=8),
        changed_at=NOW - timedelta(minutes=1),
        closed_at=None if is_open else NOW,
        closed_because=None if is_open else "recovered",
        evidence=evidence(told[0].cluster.name),
    )
    return said(FLEET_INCIDENTS, INCIDENT, incident_id, data, None)


def frozen_by(person: str) -> Said:
    """That nothing is commanded, since a person said so."""
    data = BreakerState(revision=2, open=True, frozen_by=person, since=NOW - timedelta(minutes=3))
    return said(FLEET_DECISIONS, BREAKER, "governor", data, None)


def names(clusters: int) -> dict[str, dict[str, str]]:
    """Labels of as many clusters by name; some sites are larger than others, as they are."""
    sites = [
        (region, site) for region, found in REGIONS.items() for site in found for _ in range(1 + len(site + region) % 3)
    ]
    found = {}
    for number in range(clusters):
        region, site = sites[(number * 7919) % len(sites)]
        environment = ("tst", "ref", "prd", "prd", "prd")[number % 5]
        found[f"edge-{number:05}"] = {
            "region": region,
            "site": f"{site}{1 + number % 2}",
            "environment": environment,
            "customer": ("core", "ran", "media", "retail")[number // 3 % 4],
            "wave": {"tst": "0", "ref": "1", "prd": "2"}[environment],
        }
    return found


def fleet(clusters: int) -> Iterator[Said]:
    """Yield a fleet as it may be on a weekday: most of it healthy, a bad revision under way, some hand edits."""
    labels = names(clusters)
    everyone = list(labels)
    hit = [name for name in everyone if labels[name]["environment"] == "tst"][: max(1, clusters // 125)]
    for number, name in enumerate(everyone):
        yield inventory(name, **labels[name])
        if name in hit:
            yield health(name, "failing", why="Kustomization flux-system/apps is not ready")
            yield failing(name, f"failing-{name}")
        elif number % 97 == 5:
            yield health(name, "degraded", why="Deployment shop/cart has 2 of 3 replicas")
        elif number % 211 == 17:
            yield health(name, "unknown", why="no heartbeat for 21 minutes")
        elif number % 503 == 101:
            yield health(name, "failing", why="3 of 5 nodes are not ready")
        else:
            yield health(name)
        if number % 83 == 40:
            yield changed(name, f"changed-{name}")
            yield verdict(name, "apps", Verdict.DRIFTED)
    first = everyone[40 % clusters]
    closed = Times(
        changed_at=NOW - timedelta(minutes=30),
        opened_at=NOW - timedelta(minutes=30),
        closed_at=NOW - timedelta(minutes=29),
    )
    yield changed(
        first, f"closed-{first}", state=FindingState.CLOSED, times=closed, closed_because="corrected", revision=2
    )
    yield from corrected(first, "command-1", f"closed-{first}")
    yield incident({name: labels[name]["site"] for name in hit})
    yield incident({name: labels[name]["site"] for name in everyone[:3]}, incident_id="inc-0", state="closed")

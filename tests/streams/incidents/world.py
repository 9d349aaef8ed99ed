"""A fleet as the step reads of it, and the incidents it told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from abdrift.clock import to_datetime
from abdrift.cloudevents import CloudEvent
from abdrift.facts.base import ClusterRef, Evidence, ObjectRef
from abdrift.facts.commands import Outcome, OutcomeResult
from abdrift.facts.drift import DriftKind, Finding, FindingState, GitCommit, Times
from abdrift.facts.governance import IncidentThresholds, Policy
from abdrift.facts.health import Health, HealthReason, HealthScope, HealthStatus
from abdrift.facts.incidents import Incident
from abdrift.facts.inventory import ClusterInventory
from abdrift.topics import FINDING, HEALTH, INVENTORY, OUTCOME, POLICY, FactType
from streams.incidents import IncidentsStep
from streams.step import Batch, Input, Result

if TYPE_CHECKING:
    from pydantic import BaseModel

T0 = 1_700_000_000_000
TOPIC = "abdrift.internal.fleet.v1"
BAD, GOOD = "main@sha1:" + "b" * 40, "main@sha1:" + "a" * 40
URL = "https://git.example/fleet.git"
SEEN = Evidence(as_of=to_datetime(T0), complete=True)
INFRA = ObjectRef(group="kustomize.toolkit.fluxcd.io", kind="Kustomization", namespace="flux-system", name="infra")
APPS = INFRA.model_copy(update={"name": "apps"})
RELEASE = ObjectRef(group="helm.toolkit.fluxcd.io", kind="HelmRelease", namespace="flux-system", name="gateway")
SOURCE = ObjectRef(group="source.toolkit.fluxcd.io", kind="GitRepository", namespace="flux-system", name="fleet")
CHART = SOURCE.model_copy(update={"kind": "HelmChart", "name": "flux-system-gateway"})
BLAME = GitCommit(revision=BAD, author="mallory <m@lab>", message="Raise the limits")


def trusted(_fact_type: str, _data: object) -> str:
    return "key"


def fact(fact_type: FactType, subject: str, model: BaseModel, cluster: str | None = None) -> CloudEvent:
    data = model.model_dump(mode="json", exclude_none=True)
    return CloudEvent(id="i", source="/t", type=fact_type.name, subject=subject, time="t", cluster=cluster, data=data)


def failing(
    cluster: str, *, attempted: GitCommit | None = BLAME, at: ObjectRef = INFRA, revision: int = 1, **more: Any
) -> CloudEvent:
    """A finding that something could not be applied; its id is its cluster's and object's."""
    return _finding(DriftKind.FAILING, cluster, at, revision, {"attempted": attempted, "reason": "BuildFailed"} | more)


def behind(cluster: str, *, desired: str = BAD, at: ObjectRef = INFRA, revision: int = 1, **more: Any) -> CloudEvent:
    """A finding that something is not applied yet."""
    return _finding(DriftKind.BEHIND, cluster, at, revision, {"desired": GitCommit(revision=desired)} | more)


def _finding(kind: DriftKind, cluster: str, at: ObjectRef, revision: int, more: dict[str, Any]) -> CloudEvent:
    finding_id = f"{kind}-{cluster}-{at.kind}-{at.name}"
    given: dict[str, Any] = {
        "finding_id": finding_id,
        "revision": revision,
        "state": FindingState.OPEN,
        "kind": kind,
        "cluster": ClusterRef(name=cluster),
        "object": at,
        "message": f"{at.kind} {at.name} of {cluster}",
        "times": Times(opened_at=to_datetime(T0)),
        "source": SOURCE,
        "source_url": URL,
        "evidence": SEEN,
    }
    return fact(FINDING, finding_id, Finding.model_validate(given | more), cluster)


def closed(event: CloudEvent, revision: int = 9) -> CloudEvent:
    """The same finding, closed."""
    data = {**event.data, "state": "closed", "revision": revision, "closed_because": "corrected"}
    return event.model_copy(update={"data": data})


def inventory(cluster: str, **labels: str) -> CloudEvent:
    model = ClusterInventory(
        cluster=ClusterRef(name=cluster, uid=f"uid-{cluster}"),
        labels=labels,
        first_seen=to_datetime(T0),
        evidence=SEEN,
    )
    return fact(INVENTORY, cluster, model, cluster)


def health(
    cluster: str, status: str, *codes: str, revision: int = 1, is_known: bool = True, node: str = "", pool: str = ""
) -> CloudEvent:
    """A cluster's health, or a node's."""
    resource_id = f"node/{cluster}/Node/{node}" if node else f"cluster/{cluster}"
    model = Health(
        resource_id=resource_id,
        revision=revision,
        scope=HealthScope.NODE if node else HealthScope.CLUSTER,
        cluster=ClusterRef(name=cluster),
        object=ObjectRef(kind="Node", name=node) if node else None,
        name=node or cluster,
        pool=pool or None,
        status=HealthStatus(status),
        score=0,
        reasons=tuple(HealthReason(code=c, message=f"{c} said", status=HealthStatus(status)) for c in codes),
        since=to_datetime(T0),
        last_seen=to_datetime(T0) if is_known else None,
        evidence=SEEN,
    )
    return fact(HEALTH, resource_id, model, cluster)


def silent(cluster: str, revision: int = 1) -> CloudEvent:
    return health(cluster, "unknown", "Silent", revision=revision)


def outcome(finding: CloudEvent, result: OutcomeResult, revision: int = 1, command: str = "c1") -> CloudEvent:
    model = Outcome(
        command_id=command,
        revision=revision,
        cluster=ClusterRef(name=finding.data["cluster"]["name"]),
        finding_ids=(finding.subject,),
        result=result,
    )
    return fact(OUTCOME, command, model, finding.cluster)


def policy(**thresholds: Any) -> CloudEvent:
    return fact(POLICY, "default", Policy(incidents=IncidentThresholds(**thresholds)))


class World:
    """What the step keeps, and the newest of each incident; a second passes with each record unless said otherwise."""

    def __init__(self) -> None:
        self.cells: dict[str, Any] = {}
        self.told: list[Incident] = []
        self.newest: dict[str, Incident] = {}
        self.ids: list[str] = []
        self.refused: list[str] = []
        self.passed_over: dict[str, int] = {}
        self.offset = 0
        self.now_ms = T0

    def feed(self, *events: CloudEvent | str | None, every_ms: int = 1_000) -> World:
        """Take records one by one: facts, tombstones by their key, and None for ticks."""
        for event in events:
            self.now_ms += every_ms
            self.absorb(IncidentsStep(trusted).process(self.cells, Batch(0, 1, [self.record(event)])))
        return self

    def record(self, event: CloudEvent | str | None) -> Input:
        self.offset += 1
        key = event if isinstance(event, str) else None
        told = event if isinstance(event, CloudEvent) else None
        return Input(TOPIC, 0, self.offset, self.now_ms, key, None, told, key is not None)

    def absorb(self, result: Result[Any]) -> None:
        for key, cell in result.cells.items():
            if cell is None:
                del self.cells[key]
            else:
                self.cells[key] = cell
        for one in result.facts:
            if one.event is None:
                del self.newest[one.key]
                continue
            incident = Incident.model_validate(one.event.data)
            known = self.newest.get(one.key)
            assert incident.revision == (known.revision + 1 if known else 1)
            self.ids.append(one.event.id)
            self.told.append(incident)
            self.newest[one.key] = incident
        self.refused += [one.reason for one in result.refused]
        for reason, count in result.passed_over.items():
            self.passed_over[reason] = self.passed_over.get(reason, 0) + count

    def wait(self, seconds: float) -> World:
        """Let time pass, tick by tick."""
        for _ in range(round(seconds)):
            self.feed(None)
        return self

    def open(self) -> list[Incident]:
        return [one for one in self.newest.values() if one.state == "open"]

    def only(self) -> Incident:
        (one,) = self.newest.values()
        return one


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number:03d}" for number in range(count)]


def at_site(site: str, count: int, prefix: str = "") -> list[CloudEvent]:
    """Inventories of so many clusters of a site."""
    return [inventory(name, site=site, environment="prd") for name in names(prefix or site, count)]

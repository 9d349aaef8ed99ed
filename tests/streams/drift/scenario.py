"""A small language for drift scenarios: a cluster whose rows come as an agent sends them, fed to the real step.

Shapes (conditions, history, managedFields, their order) are those seen on a real API server with Flux 2.7.
"""

import copy
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from abdrift.cloudevents import CloudEvent
from abdrift.facts.drift import Finding, FindingState, OwnerVerdict
from abdrift.facts.governance import Policy
from abdrift.facts.inventory import ClusterInventory
from abdrift.frames import decode, encode
from abdrift.signals.alerts import ALERTS, AlertRow
from abdrift.signals.alerts import columns_of as alert_columns_of
from abdrift.signals.objects import (
    OBJECTS,
    HeartbeatDetail,
    LostDetail,
    ObjectRow,
    ReadDetail,
    RemoteDetail,
    SyncDetail,
    columns_of,
    encode_detail,
)
from abdrift.signing import SignatureRefused
from abdrift.topics import ALERTS as ALERTS_TOPIC
from abdrift.topics import FINDING, FLEET_POLICY, INVENTORY, POLICY, VERDICT
from abdrift.topics import OBJECTS as OBJECTS_TOPIC
from streams.drift.step import DriftStep
from streams.step import Batch, Input, Outgoing, Refused

T0_MS = 1_795_000_000_000
CLUSTER = "edge-1"
UID = "uid-of-kube-system"
KUSTOMIZATION = ("kustomize.toolkit.fluxcd.io", "v1", "Kustomization")
RELEASE = ("helm.toolkit.fluxcd.io", "v2", "HelmRelease")
DEPLOYMENT = ("apps", "v1", "Deployment")
CONFIG_MAP = ("", "v1", "ConfigMap")
GIT = ("source.toolkit.fluxcd.io", "v1", "GitRepository")
CHART = ("source.toolkit.fluxcd.io", "v1", "HelmChart")
HPA = ("autoscaling", "v2", "HorizontalPodAutoscaler")
KINDS = (KUSTOMIZATION, RELEASE, DEPLOYMENT, CONFIG_MAP, GIT, CHART, HPA)
REV1, REV2 = "main@sha1:" + "1" * 40, "main@sha1:" + "2" * 40
OWNER_LABELS = {"kustomize.toolkit.fluxcd.io/name": "app", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}

Json = dict[str, Any]


def rfc(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fields(*paths: str) -> Json:
    """FieldsV1 of paths such as `spec.template.spec.containers.[name=web].image`."""
    root: Json = {}
    for path in paths:
        node = root
        for part in path.split("."):
            name = "f:" + part.replace("!", ".")
            if part.startswith("["):
                key, _, value = part.strip("[]").partition("=")
                name = 'k:{"' + key + '":"' + value + '"}'
            node = node.setdefault(name, {})
            if part.startswith("["):
                node.setdefault(".", {})
    return root


def entry(manager: str, operation: str, ms: int | None, *paths: str, sub: str = "") -> Json:
    made: Json = {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields(*paths)}
    if ms is not None:
        made["time"] = rfc(ms)
    if sub:
        made["subresource"] = sub
    return made


WEB_FIELDS = (
    "metadata.labels.kustomize!toolkit!fluxcd!io/name",
    "metadata.labels.kustomize!toolkit!fluxcd!io/namespace",
    "spec.replicas",
    "spec.selector",
    "spec.template.metadata.labels.app",
    "spec.template.spec.containers.[name=web].name",
    "spec.template.spec.containers.[name=web].image",
    "spec.template.spec.containers.[name=web].env.[name=COLOR].name",
    "spec.template.spec.containers.[name=web].env.[name=COLOR].value",
)


def web(*, applied_ms: int = T0_MS, replicas: int = 2, image: str = "web:1.0.0", labels: Json | None = None) -> Json:
    """The Deployment of the real traces, as Flux applied it."""
    container = {
        "name": "web",
        "image": image,
        "env": [{"name": "COLOR", "value": "blue"}],
        "imagePullPolicy": "IfNotPresent",
        "resources": {},
    }
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container], "restartPolicy": "Always"}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "demo",
            "uid": "uid-web",
            "generation": 1,
            "labels": dict(OWNER_LABELS if labels is None else labels),
            "managedFields": [entry("kustomize-controller", "Apply", applied_ms, *WEB_FIELDS)],
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template,
            "revisionHistoryLimit": 10,
        },
        "status": {"observedGeneration": 1},
    }


def config(*, applied_ms: int = T0_MS, color: str = "blue", name: str = "app-config", namespace: str = "demo") -> Json:
    """The ConfigMap of the real traces, as Flux applied it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "labels": dict(OWNER_LABELS),
            "managedFields": [
                entry(
                    "kustomize-controller",
                    "Apply",
                    applied_ms,
                    "metadata.labels.kustomize!toolkit!fluxcd!io/name",
                    "metadata.labels.kustomize!toolkit!fluxcd!io/namespace",
                    "data.color",
                )
            ],
        },
        "data": {"color": color},
    }


WEB_ENTRY, CONFIG_ENTRY = "demo_web_apps_Deployment", "demo_app-config__ConfigMap"


def kustomization(
    *,
    entries: tuple[str, ...] | None = (WEB_ENTRY, CONFIG_ENTRY),
    ready: str = "True",
    reason: str = "ReconciliationSucceeded",
    reconciling: str = "",
    applied: str = REV1,
    attempted: str = "",
    total: int = 1,
    reconciled_ms: int = T0_MS,
    generation: int = 1,
    observed: int = 0,
    handled: str = "",
    requested: str = "",
    spec: Json | None = None,
    healthy: str = "",
    annotations: Json | None = None,
) -> Json:
    conditions = [{"type": "Ready", "status": ready, "reason": reason, "message": f"{reason} said"}]
    if reconciling:
        conditions.insert(0, {"type": "Reconciling", "status": "True", "reason": reconciling, "message": "working"})
    if healthy:
        conditions.append({"type": "Healthy", "status": healthy, "reason": "Progressing", "message": "checking"})
    status: Json = {
        "observedGeneration": observed or generation,
        "lastAppliedRevision": applied,
        "lastAttemptedRevision": attempted or applied,
        "conditions": conditions,
        "history": [{"digest": "d", "totalReconciliations": total, "lastReconciled": rfc(reconciled_ms)}],
    }
    if entries is not None:
        status["inventory"] = {"entries": [{"id": each, "v": "v1"} for each in entries]}
    if handled:
        status["lastHandledReconcileAt"] = handled
    noted = dict(annotations or {})
    if requested:
        noted["reconcile.fluxcd.io/requestedAt"] = requested
    source = {"kind": "GitRepository", "name": "fleet"}
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {
            "name": "app",
            "namespace": "flux-system",
            "uid": "uid-app",
            "generation": generation,
            "annotations": noted,
        },
        "spec": {"prune": True, "sourceRef": source, **(spec or {})},
        "status": status,
    }


def applying(**more: Any) -> Json:
    """The Kustomization while it applies."""
    return kustomization(**{"ready": "Unknown", "reason": "Progressing", "reconciling": "Progressing", **more})


def repository(artifact: str = REV1, *, fetched_ms: int | None = None, **spec: Any) -> Json:
    url = {"url": "https://git.example/fleet.git", "ref": {"branch": "main"}}
    fetched = {"lastUpdateTime": rfc(fetched_ms)} if fetched_ms is not None else {}
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": "fleet", "namespace": "flux-system", "uid": "uid-fleet", "generation": 1},
        "spec": {**url, **spec},
        "status": {
            "artifact": {"revision": artifact, "digest": "sha256:aa", **fetched},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored"}],
        },
    }


def edited(
    document: Mapping[str, Any], path: str, value: Any, by: Json | None = None, lost: tuple[str, ...] = ()
) -> Json:
    """A copy with a value set at (None: removed from) a JSON pointer; `by` gains an entry, `lost` go from Flux's."""
    made: Json = copy.deepcopy(dict(document))
    *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:])
    node: Any = made
    for parent in parents:
        node = node[int(parent)] if isinstance(node, list) else node.setdefault(parent, {})
    if isinstance(node, list):
        if value is None:
            del node[int(last)]
        elif int(last) < len(node):
            node[int(last)] = value
        else:
            node.append(value)
    elif value is None:
        del node[last]
    else:
        node[last] = value
    if lost:
        flux = made["metadata"]["managedFields"][0]
        flux["fieldsV1"] = fields(*(each for each in WEB_FIELDS if not each.startswith(lost)))
    if by:
        made["metadata"].setdefault("managedFields", []).append(by)
    return made


def trusting(_fact_type: str, data: Mapping[str, Any]) -> None:
    """Refuse what carries no signature at all: enough for a step, whose verifier is injected."""
    if not data.get("signature"):
        raise SignatureRefused("unsigned", "there is no signature")


class Scenario:
    """One cluster under the step. Each call feeds one record; time moves only when told."""

    def __init__(self, cluster: str = CLUSTER) -> None:
        self.step = DriftStep(trusting)
        self.cluster = cluster
        self.agent = "agent"
        self.now_ms = T0_MS
        self.offset = 0
        self.version = 1000
        self.owners: dict[tuple[str, str, str, str], ObjectRow] = {}
        self.cells: dict[str, Any] = {}
        self.inputs: list[Input] = []
        self.facts: list[Outgoing] = []
        self.refused: list[Refused] = []
        self.passed_over: Counter[str] = Counter()
        self.last: list[Outgoing] = []

    def copied(self) -> "Scenario":
        """Another scenario that begins where this one stands; cells are frozen and may be shared."""
        other = Scenario(self.cluster)
        other.now_ms, other.offset, other.version, other.agent = self.now_ms, self.offset, self.version, self.agent
        other.owners = dict(self.owners)
        other.cells, other.inputs, other.facts = dict(self.cells), list(self.inputs), list(self.facts)
        return other

    # time and records
    def after(self, ms: int) -> "Scenario":
        self.now_ms += ms
        return self

    def feed(self, *rows: ObjectRow) -> "Scenario":
        encoded = encode(OBJECTS, columns_of(rows), (self.agent, 1, self.offset))
        frame = decode(encoded.value, encoded.headers)
        return self._input(Input(OBJECTS_TOPIC.name, 0, self.offset, self.now_ms, frame=frame))

    def alerted(self, *rows: AlertRow) -> "Scenario":
        """What a receiver of alerts delivered."""
        encoded = encode(ALERTS, alert_columns_of(rows), ("alertmanager/receiver-0", 1, self.offset))
        frame = decode(encoded.value, encoded.headers)
        return self._input(Input(ALERTS_TOPIC.name, 0, self.offset, self.now_ms, frame=frame))

    def tick(self, ms: int = 0) -> "Scenario":
        self.now_ms += ms
        return self._input(Input(OBJECTS_TOPIC.name, 0, self.offset, self.now_ms))

    def policy(self, policy: Policy | Json | None) -> "Scenario":
        if policy is None:
            return self._input(Input(FLEET_POLICY.name, 0, self.offset, self.now_ms, key="default", tombstone=True))
        data = policy.model_dump(mode="json", exclude_none=True) if isinstance(policy, Policy) else policy
        if isinstance(policy, Policy):
            data["signature"] = {"key_id": "k", "algorithm": "Ed25519", "value": "v"}
        event = CloudEvent(id="p", source="/cli", type=POLICY.name, subject="default", time=rfc(self.now_ms), data=data)
        return self._input(Input(FLEET_POLICY.name, 0, self.offset, self.now_ms, key="default", event=event))

    def _input(self, record: Input) -> "Scenario":
        self.inputs.append(record)
        self.offset += 1
        result = self.step.process(self.cells, Batch(0, 1, [record]))
        for key, cell in result.cells.items():
            if cell is None:
                self.cells.pop(key, None)
            else:
                self.cells[key] = cell
        self.passed_over.update(result.passed_over)
        self.last = list(result.facts)
        self.facts += result.facts
        self.refused += result.refused
        return self

    # rows
    def row(self, op: str, document: Json, gvk: tuple[str, str, str] | None = None) -> ObjectRow:
        self.version += 1
        api, _, version = document.get("apiVersion", "").rpartition("/")
        group, version, kind = gvk or (api, version, document["kind"])
        metadata = document.get("metadata", {})
        row = ObjectRow(
            cluster=self.cluster,
            op=op,
            group=group,
            version=version,
            kind=kind,
            namespace=metadata.get("namespace", ""),
            name=metadata.get("name", ""),
            uid=metadata.get("uid", ""),
            resource_version=str(self.version),
            observed_ms=self.now_ms,
            object=orjson.dumps(document),
        )
        if kind in (KUSTOMIZATION[2], RELEASE[2]):
            self.owners[group, kind, row.namespace, row.name] = row
        return row

    def said(self, op: str, detail: Any, gvk: tuple[str, str, str] = ("", "", ""), name: str = "") -> ObjectRow:
        return ObjectRow(
            cluster="" if op == "remote" else self.cluster,
            op=op,
            group=gvk[0],
            version=gvk[1],
            kind=gvk[2],
            name=name,
            observed_ms=self.now_ms,
            detail=encode_detail(detail),
        )

    def see(self, *documents: Json, op: str = "modified", read: bool = True) -> "Scenario":
        """Rows of a watch (or a list); after a watch's, the agent reads the owners and says what it found."""
        rows = [self.row(op, each) for each in documents]
        if op != "listed" and read:
            rows += self.reads()
        return self.feed(*rows)

    def reads(self) -> list[ObjectRow]:
        detail = encode_detail(ReadDetail(as_of=self.version))
        return [msgspec.structs.replace(row, op="read", object=b"", detail=detail) for row in self.owners.values()]

    def delete(self, *documents: Json) -> "Scenario":
        return self.see(*documents, op="deleted")

    def heartbeat(self, *, interval_ms: int = 60_000, started_ms: int = T0_MS - 1, **labels: str) -> "Scenario":
        detail = HeartbeatDetail(cluster_uid=UID, interval_ms=interval_ms, started_ms=started_ms, labels=labels)
        return self.feed(self.said("heartbeat", detail))

    def synced(
        self, *kinds: tuple[str, str, str], began_ms: int = 0, gap_ms: int | None = None, selector: str = ""
    ) -> "Scenario":
        reason = "watch-expired" if gap_ms is not None else None
        detail = SyncDetail(
            began_ms=began_ms or self.now_ms, objects=0, gap_since_ms=gap_ms, gap_reason=reason, selector=selector
        )
        return self.feed(*(self.said("synced", detail, kind) for kind in kinds or KINDS))

    def lost(self, kind: tuple[str, str, str], reason: str = "forbidden") -> "Scenario":
        return self.feed(self.said("lost", LostDetail(reason=reason, message="no", since_ms=self.now_ms), kind))

    def remote(self, detail: RemoteDetail, url: str = "https://git.example/fleet.git") -> "Scenario":
        return self.feed(self.said("remote", detail, name=url))

    # stories
    def started(self, *documents: Json) -> "Scenario":
        """An agent that has listed everything and says so."""
        listed = documents or (repository(), kustomization(), web(), config())
        self.see(*listed, op="listed").synced(began_ms=self.now_ms).heartbeat()
        return self.after(1_000)

    def proven(self, *documents: Json) -> "Scenario":
        """An agent that has also watched a reconcile which changed nothing."""
        return self.started(*documents).reconciled()

    def reconciled(self, *during: Json, total: int = 2, **more: Any) -> "Scenario":
        """A reconcile from its beginning to its end, with the rows that Flux's writes bring."""
        busy = {key: value for key, value in more.items() if key not in ("ready", "reason")}
        self.after(100).see(applying(**{**busy, "total": total - 1}))
        if during:
            self.after(100).see(*during)
        self.after(100).see(kustomization(**{"reconciled_ms": self.now_ms, **more, "total": total}))
        return self.after(1_000).tick()

    # what came of it
    def findings(self) -> list[Finding]:
        """The newest revision of each finding, in the order of their opening."""
        told: dict[str, Finding] = {}
        for fact in self.facts:
            if fact.event and fact.event.type == FINDING.name:
                finding = Finding.model_validate(fact.event.data)
                assert finding.revision == (told[fact.key].revision + 1 if fact.key in told else 1)
                told[fact.key] = finding
        return list(told.values())

    def open(self) -> list[Finding]:
        return [each for each in self.findings() if each.state is FindingState.OPEN]

    def kinds(self) -> list[str]:
        """Open findings as `kind object`."""
        return sorted(f"{each.kind} {each.object.name}" for each in self.open())

    def closed(self) -> list[str]:
        return [f"{each.kind} {each.closed_because}" for each in self.findings() if each.state is FindingState.CLOSED]

    def verdicts(self) -> list[OwnerVerdict]:
        events = (fact.event for fact in self.facts if fact.event and fact.event.type == VERDICT.name)
        return [OwnerVerdict.model_validate(event.data) for event in events]

    def verdict(self) -> OwnerVerdict:
        return self.verdicts()[-1]

    def inventories(self) -> list[ClusterInventory]:
        events = (fact.event for fact in self.facts if fact.event and fact.event.type == INVENTORY.name)
        return [ClusterInventory.model_validate(event.data) for event in events]

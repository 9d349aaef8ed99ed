"""A fleet to govern: facts in, what the governor says out, with cells encoded and decoded at every commit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel

from abdrift.clock import to_datetime
from abdrift.cloudevents import CloudEvent
from abdrift.facts.base import rfc3339
from abdrift.facts.commands import BreakerState, Command, Decision
from abdrift.facts.governance import Policy
from abdrift.signing import Signer, Trust
from abdrift.topics import (
    APPROVAL,
    BREAKER,
    COMMAND,
    DECISION,
    FINDING,
    FLEET_REDUCED,
    HEALTH,
    INVENTORY,
    OUTCOME,
    POLICY,
    VERDICT,
    FactType,
)
from streams.governor import GovernorStep
from streams.step import Batch, Input, Outgoing, Refused, cell_codec

START_MS = 1_800_000_000_000
OPERATOR = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
GOVERNOR = Signer(Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))
STRANGER = Signer(Ed25519PrivateKey.from_private_bytes(bytes([2]) * 32))
TRUST = Trust({OPERATOR.key_id: OPERATOR.private.public_key()})
ACT = {
    "name": "act",
    "mode": "act",
    "grace_seconds": 0,
    "verbs": ["reconcile", "resume", "force", "reconcile-with-source"],
}
OWNER = {
    "group": "kustomize.toolkit.fluxcd.io",
    "version": "v1",
    "kind": "Kustomization",
    "namespace": "flux-system",
    "name": "apps",
}
HELM = {"group": "helm.toolkit.fluxcd.io", "version": "v2", "kind": "HelmRelease", "namespace": "web", "name": "shop"}


def stamp(time_ms: int) -> str:
    """Return RFC 3339."""
    return rfc3339(to_datetime(time_ms))


def evidence(as_of_ms: int, *, complete: bool = True) -> dict[str, Any]:
    return {"as_of": stamp(as_of_ms), "complete": complete}


@dataclass
class World:
    """Feeds a step and keeps what it says."""

    step: GovernorStep = field(default_factory=lambda: GovernorStep(GOVERNOR, TRUST))
    cells: dict[str, Any] = field(default_factory=dict)
    now_ms: int = START_MS
    offset: int = 0
    said: list[Outgoing] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    lag_ms: int = 0
    restoring: bool = False

    def feed(self, inputs: Iterable[Input]) -> list[Outgoing]:
        """Process one batch and commit it."""
        batch = Batch(0, 1, list(inputs), self.lag_ms, self.restoring)
        result = self.step.process(self.cells, batch)
        self.cells = commit(self.cells, result.cells)
        self.said += result.facts
        self.refused += result.refused
        return list(result.facts)

    def record(self, event: CloudEvent | None = None, *, tombstone: str | None = None) -> Input:
        """Return the next record of the reduced topic."""
        self.offset += 1
        key = tombstone or (event.subject if event else None)
        return Input(FLEET_REDUCED.name, 0, self.offset, self.now_ms, key, None, event, tombstone is not None)

    def tell(self, *events: CloudEvent) -> list[Outgoing]:
        """Feed events, one a batch."""
        return [fact for event in events for fact in self.feed([self.record(event)])]

    def bury(self, key: str) -> list[Outgoing]:
        return self.feed([self.record(tombstone=key)])

    def wait(self, seconds: float) -> list[Outgoing]:
        """Let time pass, ticking each second."""
        said: list[Outgoing] = []
        until_ms = self.now_ms + round(seconds * 1000)
        while self.now_ms < until_ms:
            self.now_ms = min(self.now_ms + 1000, until_ms)
            said += self.feed([self.record()])
        return said

    @property
    def commands(self) -> list[Command]:
        return [Command.model_validate(f.event.data) for f in self.said if f.event and f.event.type == COMMAND.name]

    @property
    def decisions(self) -> list[Decision]:
        return [Decision.model_validate(f.event.data) for f in self.said if f.event and f.event.type == DECISION.name]

    @property
    def breakers(self) -> list[BreakerState]:
        return [
            BreakerState.model_validate(f.event.data) for f in self.said if f.event and f.event.type == BREAKER.name
        ]

    @property
    def last(self) -> str:
        """The newest decision, as `result: codes`."""
        return brief(self.decisions[-1])

    # facts

    def policy(
        self, *rules: Mapping[str, Any], revision: int = 1, signer: Signer | None = OPERATOR, **more: Any
    ) -> CloudEvent:
        data = Policy.model_validate({"revision": revision, "rules": rules, **more}).model_dump(
            mode="json", exclude_none=True
        )
        return self.event(POLICY, "default", signer.sign(POLICY.name, data) if signer else data, None)

    def inventory(
        self, name: str = "edge-1", *, uid: str | None = "uid", labels: Mapping[str, str] | None = None, **more: Any
    ) -> CloudEvent:
        data = {
            "cluster": {"name": name, **({"uid": uid} if uid else {})},
            "labels": labels if labels is not None else {"site": "oslo"},
            "first_seen": stamp(START_MS),
            "last_seen": stamp(self.now_ms),
            "evidence": evidence(self.now_ms),
            **more,
        }
        return self.event(INVENTORY, name, data, name)

    def verdict(
        self, cluster: str = "edge-1", *, revision: int = 1, owner: Mapping[str, Any] = OWNER, **more: Any
    ) -> CloudEvent:
        verdict_id = f"verdict-{cluster}-{owner['name']}"
        data = {
            "verdict_id": verdict_id,
            "revision": revision,
            "cluster": {"name": cluster},
            "owner": owner,
            "verdict": "drifted",
            "applied_revision": "main@sha1:aaa",
            "artifact_revision": "main@sha1:aaa",
            "evidence": evidence(self.now_ms),
            **more,
        }
        return self.event(VERDICT, verdict_id, data, cluster)

    def finding(self, finding_id: str = "f1", *, cluster: str = "edge-1", revision: int = 1, **more: Any) -> CloudEvent:
        uid = {"uid": more.pop("cluster_uid")} if "cluster_uid" in more else {}
        data = {
            "finding_id": finding_id,
            "revision": revision,
            "state": "open",
            "kind": "changed",
            "cluster": {"name": cluster, **uid},
            "object": {"group": "apps", "kind": "Deployment", "namespace": "web", "name": f"of-{finding_id}"},
            "owner": OWNER,
            "message": "drifted",
            "fields": [{"path": "/spec/replicas", "op": "replace"}],
            "managers": ["kubectl-edit"],
            "times": {"opened_at": stamp(self.now_ms)},
            "reconcile_corrects": "yes",
            "evidence": evidence(self.now_ms),
            **more,
        }
        return self.event(FINDING, finding_id, {k: v for k, v in data.items() if v is not None}, cluster)

    def closing(self, finding_id: str = "f1", *, revision: int = 2, **more: Any) -> CloudEvent:
        return self.finding(finding_id, revision=revision, state="closed", **more)

    def outcome(self, command: Command, result: str = "corrected", *, revision: int = 2) -> CloudEvent:
        data = {
            "command_id": command.command_id,
            "revision": revision,
            "cluster": command.cluster.model_dump(mode="json", exclude_none=True),
            "result": result,
        }
        return self.event(OUTCOME, command.command_id, data, command.cluster.name)

    def word(self, action: str, subject: str, *, signer: Signer | None = OPERATOR, **more: Any) -> CloudEvent:
        data = {
            "approval_id": f"a{self.offset}",
            "action": action,
            "subject_id": subject,
            "by": "kari",
            "reason": "because",
            "issued_at": stamp(self.now_ms),
            **more,
        }
        return self.event(APPROVAL, subject, signer.sign(APPROVAL.name, data) if signer else data, None)

    def silence(self, name: str = "edge-1", *, revision: int = 1, code: str = "Silent") -> CloudEvent:
        data = {
            "resource_id": f"cluster/{name}",
            "revision": revision,
            "scope": "cluster",
            "cluster": {"name": name},
            "name": name,
            "status": "unknown",
            "score": 0,
            "reasons": [{"code": code, "message": "nothing heard", "status": "unknown"}],
            "since": stamp(self.now_ms),
            "evidence": evidence(self.now_ms),
        }
        return self.event(HEALTH, f"cluster/{name}", data, name)

    def event(
        self, fact_type: FactType, subject: str, data: Mapping[str, Any] | BaseModel, cluster: str | None
    ) -> CloudEvent:
        return CloudEvent(
            id=f"e{self.offset}-{subject}",
            source="/abdrift/tests",
            type=fact_type.name,
            subject=subject,
            time=stamp(self.now_ms),
            cluster=cluster,
            data=dict(data),
        )


def commit(cells: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state after a batch, through the codec that the engine stores it by."""
    encoder, decoder = cell_codec(GovernorStep.cell_type)
    merged = dict(cells)
    for key, cell in changed.items():
        if cell is None:
            del merged[key]
        else:
            merged[key] = decoder.decode(encoder.encode(cell))
    return merged


def brief(decision: Decision) -> str:
    """Return a decision as `result: codes`."""
    return f"{decision.result}: {' '.join(r.code for r in decision.reasons)}"


def acting(*, rule: Mapping[str, Any] | None = None, cells: Mapping[str, Any] | None = None, **policy: Any) -> World:
    """Return a world in which one known cluster, proven owner and acting rule wait for a finding."""
    world = World(cells=dict(cells or {}))
    world.tell(world.policy({**ACT, **(rule or {})}, **policy), world.inventory(), world.verdict())
    return world


def fork(world: World) -> World:
    """Return a copy that goes its own way."""
    return replace(world, cells=dict(world.cells), said=list(world.said), refused=list(world.refused))

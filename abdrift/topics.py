"""Every topic: its name, key, model, retention, writer and readers.

Documents, schemas, manifests and access rules are generated from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from abdrift.cloudevents import CloudEvent
from abdrift.facts.base import rfc3339
from abdrift.facts.commands import BreakerState, Command, Decision, Outcome
from abdrift.facts.dead_letter import DeadLetter
from abdrift.facts.drift import Finding, OwnerVerdict
from abdrift.facts.governance import Approval, Policy
from abdrift.facts.health import Health
from abdrift.facts.incidents import Incident
from abdrift.facts.inventory import ClusterInventory

DEFAULT_PARTITIONS = 64
"""Fixed for a topic's version: changing it would move most clusters to another partition."""

_CLI = "abdrift.cli"
"""Reads every topic: for the views of `demo` and `up`, for `command`, `drift` and `policy`, and for `topics cat`."""
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


class Format(StrEnum):
    """What a record's value is."""

    FRAME = "frame"
    CLOUDEVENT = "cloudevent"


class Placement(StrEnum):
    """Which partition a record goes to."""

    CLUSTER = "cluster"
    """Its cluster's; what belongs to no cluster goes by its scope."""
    SINGLE = "single"
    """The only one: for steps that must see the fleet."""


_BY_CLUSTER = "the cluster's name; `fleet` for what is of no cluster"


@dataclass(frozen=True, slots=True)
class FactType:
    """One type of CloudEvent: the value of its `type` attribute and the model of its `data`."""

    name: str
    model: type[BaseModel]

    @property
    def schema_id(self) -> str:
        """The $id of its JSON Schema, used as `dataschema`."""
        return f"urn:abdrift:schema:{self.name}"

    def event(
        self,
        subject: str,
        data: BaseModel | Mapping[str, Any],
        *,
        event_id: str,
        source: str,
        at: datetime,
        cluster: str | None = None,
    ) -> CloudEvent:
        """Return a fact of this type in its envelope; the arguments are its attributes, `at` is its time."""
        return CloudEvent(
            id=event_id,
            source=source,
            type=self.name,
            subject=subject,
            time=rfc3339(at),
            dataschema=self.schema_id,
            cluster=cluster,
            data=data.model_dump(mode="json", exclude_none=True) if isinstance(data, BaseModel) else dict(data),
        )


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the contract."""

    name: str
    title: str
    format: Format
    key: str
    public: bool
    compacted: bool
    retention_ms: int | None
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    facts: tuple[FactType, ...] = ()
    placement: Placement = Placement.CLUSTER
    placed_by: str = _BY_CLUSTER
    """What decides the partition, in words."""
    max_message_bytes: int = 1_048_588

    def config(self) -> dict[str, str]:
        """Return the topic's Kafka configuration."""
        config = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "max.message.bytes": str(self.max_message_bytes),
            "message.timestamp.type": "LogAppendTime",
        }
        if self.retention_ms is not None:
            config["retention.ms"] = str(self.retention_ms)
        return config

    def partitions(self, keyed_partitions: int) -> int:
        """Return how many partitions this topic has where keyed topics have `keyed_partitions`."""
        return 1 if self.placement is Placement.SINGLE else keyed_partitions


FINDING = FactType("dev.abdrift.fleet.drift.finding.v1", Finding)
VERDICT = FactType("dev.abdrift.fleet.drift.verdict.v1", OwnerVerdict)
INVENTORY = FactType("dev.abdrift.fleet.inventory.v1", ClusterInventory)
HEALTH = FactType("dev.abdrift.fleet.health.v1", Health)
INCIDENT = FactType("dev.abdrift.fleet.incident.v1", Incident)
POLICY = FactType("dev.abdrift.fleet.policy.v1", Policy)
APPROVAL = FactType("dev.abdrift.fleet.approval.v1", Approval)
COMMAND = FactType("dev.abdrift.fleet.command.v1", Command)
DECISION = FactType("dev.abdrift.fleet.decision.v1", Decision)
BREAKER = FactType("dev.abdrift.fleet.breaker.v1", BreakerState)
OUTCOME = FactType("dev.abdrift.fleet.outcome.v1", Outcome)
DEAD_LETTER = FactType("dev.abdrift.dead-letter.v1", DeadLetter)


def _signals(noun: str, title: str, writers: tuple[str, ...], readers: tuple[str, ...]) -> Topic:
    return Topic(
        name=f"abdrift.signals.{noun}.v1",
        title=title,
        format=Format.FRAME,
        key="lane: the source's name",
        public=False,
        compacted=False,
        retention_ms=_DAY_MS,
        writers=writers,
        readers=(*readers, _CLI),
        placed_by="the clusters' names: a frame's rows are of clusters of one partition",
        max_message_bytes=8 * 1024 * 1024,
    )


def _fleet(
    noun: str,
    title: str,
    key: str,
    facts: tuple[FactType, ...],
    *,
    writers: tuple[str, ...],
    readers: tuple[str, ...],
    kept_days: int | None = None,
    placed_by: str = _BY_CLUSTER,
) -> Topic:
    """Return a public topic: compacted, or kept for `kept_days`."""
    return Topic(
        name=f"abdrift.fleet.{noun}.v1",
        title=title,
        format=Format.CLOUDEVENT,
        key=key,
        public=True,
        compacted=kept_days is None,
        retention_ms=None if kept_days is None else kept_days * _DAY_MS,
        writers=writers,
        readers=(*readers, _CLI),
        facts=facts,
        placed_by=placed_by,
    )


OBJECTS = _signals(
    "objects",
    "Kubernetes objects as an agent saw them, declared clusters, and remote Git heads",
    ("collectors.kubernetes", "collectors.hub", "collectors.inventory", "collectors.git"),
    ("streams.drift", "streams.health", "collectors.hub"),
)
EVENTS = _signals(
    "events", "Kubernetes Events", ("collectors.kubernetes", "collectors.hub"), ("streams.rates", "sinks.elasticsearch")
)
SAMPLES = _signals("samples", "Values of Prometheus time series", ("collectors.prometheus",), ("streams.levels",))
LOGS = _signals("logs", "Log lines, in one shape", ("collectors.logs",), ("streams.levels", "sinks.elasticsearch"))
ALERTS = _signals(
    "alerts",
    "What Alertmanager and Flux's notification controller tell",
    ("collectors.alertmanager", "collectors.flux"),
    ("streams.drift",),
)
RATES = Topic(
    name="abdrift.internal.rates.v1",
    title="Workloads whose Warning Events became unusual, or usual again",
    format=Format.FRAME,
    key="lane: the step and its partition",
    public=False,
    compacted=False,
    retention_ms=_DAY_MS,
    writers=("streams.rates",),
    readers=("streams.health", _CLI),
    placed_by="the clusters' names",
    max_message_bytes=8 * 1024 * 1024,
)
LEVELS = Topic(
    name="abdrift.internal.levels.v1",
    title="Levels of metrics and logs that workloads, nodes and clusters passed, or no longer do",
    format=Format.FRAME,
    key="lane: the step and its partition",
    public=False,
    compacted=False,
    retention_ms=_DAY_MS,
    writers=("streams.levels",),
    readers=("streams.health", _CLI),
    placed_by="the clusters' names",
    max_message_bytes=8 * 1024 * 1024,
)
FLEET_INVENTORY = _fleet(
    "inventory",
    "Which clusters there are",
    "cluster name",
    (INVENTORY,),
    writers=("streams.drift",),
    readers=("collectors.git", "streams.reduce", "sinks.prometheus", "sinks.web", "sinks.elasticsearch"),
)
FLEET_HEALTH = _fleet(
    "health",
    "How every resource is",
    "resource id",
    (HEALTH,),
    writers=("streams.health", "streams.rollup"),
    readers=("streams.reduce", "sinks.prometheus", "sinks.web", "sinks.elasticsearch"),
)
FLEET_DRIFT = _fleet(
    "drift",
    "Findings and verdicts",
    "finding id or verdict id",
    (FINDING, VERDICT),
    writers=("streams.drift",),
    readers=("streams.reduce", "sinks.gitops", "sinks.prometheus", "sinks.web", "sinks.elasticsearch"),
)
FLEET_INCIDENTS = _fleet(
    "incidents",
    "One cause in place of the many symptoms that share it",
    "incident id",
    (INCIDENT,),
    writers=("streams.incidents",),
    readers=("collectors.git", "sinks.alertmanager", "sinks.prometheus", "sinks.web", "sinks.elasticsearch"),
)
FLEET_POLICY = _fleet(
    "policy",
    "The policy in force, signed; one copy in every partition",
    "policy name",
    (POLICY,),
    writers=(_CLI,),
    readers=("streams.drift", "streams.levels", "streams.reduce", "sinks.elasticsearch"),
    placed_by="nothing: every partition has a copy",
)
FLEET_APPROVALS = _fleet(
    "approvals",
    "What people told the governor, signed",
    "subject id",
    (APPROVAL,),
    writers=(_CLI,),
    readers=("streams.reduce", "sinks.elasticsearch"),
)
FLEET_COMMANDS = _fleet(
    "commands",
    "Signed commands to clusters",
    "command id",
    (COMMAND,),
    writers=("streams.governor",),
    readers=("sinks.gitops", "sinks.prometheus", "sinks.web", "sinks.elasticsearch"),
    kept_days=7,
)
FLEET_DECISIONS = _fleet(
    "decisions",
    "What the governor decided and why, refusals too",
    "decision id",
    (DECISION, BREAKER),
    writers=("streams.governor",),
    readers=("sinks.prometheus", "sinks.web", "sinks.elasticsearch"),
    kept_days=90,
)
FLEET_OUTCOMES = _fleet(
    "outcomes",
    "What came of commands: the audit",
    "command id",
    (OUTCOME,),
    writers=("sinks.gitops",),
    readers=("streams.reduce", "sinks.gitops", "sinks.prometheus", "sinks.web", "sinks.elasticsearch"),
    kept_days=365,
)
FLEET_REDUCED = Topic(
    name="abdrift.internal.fleet.v1",
    title="What the steps that see the whole fleet need, in one order",
    format=Format.CLOUDEVENT,
    key="the fact's subject",
    public=False,
    compacted=False,
    retention_ms=7 * _DAY_MS,
    writers=("streams.reduce",),
    readers=("streams.governor", "streams.rollup", "streams.incidents", _CLI),
    facts=(INVENTORY, HEALTH, FINDING, VERDICT, POLICY, APPROVAL, OUTCOME),
    placement=Placement.SINGLE,
    placed_by="nothing: there is one partition",
)
DEAD_LETTERS = Topic(
    name="abdrift.dead-letters.v1",
    title="What could not be read, with the reason",
    format=Format.CLOUDEVENT,
    key="source topic",
    public=True,
    compacted=False,
    retention_ms=30 * _DAY_MS,
    writers=("collectors.logs", "streams", "sinks"),
    readers=("sinks.prometheus", _CLI),
    facts=(DEAD_LETTER,),
    placed_by="the source topic's name",
    max_message_bytes=12 * 1024 * 1024,
)

TOPICS: tuple[Topic, ...] = (
    OBJECTS,
    EVENTS,
    SAMPLES,
    LOGS,
    ALERTS,
    FLEET_INVENTORY,
    FLEET_HEALTH,
    FLEET_DRIFT,
    FLEET_INCIDENTS,
    FLEET_POLICY,
    FLEET_APPROVALS,
    FLEET_COMMANDS,
    FLEET_DECISIONS,
    FLEET_OUTCOMES,
    RATES,
    LEVELS,
    FLEET_REDUCED,
    DEAD_LETTERS,
)

FACT_TYPES: dict[str, FactType] = {fact.name: fact for topic in TOPICS for fact in topic.facts}


def topic_by_name(name: str) -> Topic:
    """Return the topic of that name, or of that short name such as `fleet.drift`.

    Raises:
        KeyError: there is no such topic.

    """
    for topic in TOPICS:
        if name in (topic.name, topic.name.removeprefix("abdrift.").removesuffix(".v1")):
            return topic
    raise KeyError(name)

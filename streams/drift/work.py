"""One batch in the making: cells as they are so far, and what is still to be judged and said.

The cells given to a step are never touched; what changes lies over them until the batch ends.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel

from abdrift.facts.base import SourceEvidence
from abdrift.facts.drift import Certainty, Corrects, DriftKind, FieldChange, GitCommit
from abdrift.facts.governance import Policy
from abdrift.topics import FactType, Topic
from streams.drift.cells import (
    AnyCell,
    ClusterCell,
    FindingCell,
    ObjectCell,
    OwnerCell,
    PartitionCell,
    PolicyCell,
    Ref,
    SourceCell,
    TimersCell,
)
from streams.step import Cause, Outgoing, Publication, Refused, publish, tombstone

C = TypeVar("C", bound=AnyCell)

_UNCHANGED: Any = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is to be said of one drift. Times are in milliseconds since the epoch; 0 is none."""

    cluster: str
    kind: DriftKind
    ref: Ref
    owner: Ref | None
    message: str
    fields: tuple[FieldChange, ...] = ()
    managers: tuple[str, ...] = ()
    certainty: Certainty = Certainty.PROVEN
    corrects: Corrects = Corrects.UNKNOWN
    corrects_reason: str | None = None
    contested: bool = False
    held_until_ms: int = 0
    changed_ms: int | None = None
    observed_ms: int = 0
    applied_revision: str = ""
    artifact_revision: str = ""
    owner_generation: int | None = None
    desired: GitCommit | None = None
    attempted: GitCommit | None = None
    reason: str = ""
    source: SourceCell | None = None
    """The source it rests on, for behind and failing."""
    kinds: tuple[str, ...] = ()
    """`group/kind` of the watches it rests on."""
    remote_url: str = ""
    """The Git remote it rests on, where it does."""
    sources: tuple[SourceEvidence, ...] = ()
    """What else it rests on."""


@dataclass(slots=True)
class Work:
    """What a batch has changed so far. Everything here lives for one call of `process`."""

    base: Mapping[str, AnyCell]
    changed: dict[str, AnyCell | None] = field(default_factory=dict)
    facts: list[Outgoing] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    """What was read and does not count, by reason."""
    now_ms: int = 0
    """Append time of the record at hand."""
    epoch: tuple[str, int] = ("", 0)
    """Source and epoch of the row at hand: the run of the agent that sent it."""
    cause: Cause = field(default_factory=lambda: Cause("", 0, 0))
    objects: dict[tuple[str, str], None] = field(default_factory=dict)
    """(cluster, object id) to judge before the row ends."""
    owners: dict[tuple[str, str], None] = field(default_factory=dict)
    sources: dict[tuple[str, str], None] = field(default_factory=dict)
    verdicts: dict[tuple[str, str], None] = field(default_factory=dict)
    """Owners to weigh when the record ends."""
    inventories: dict[str, None] = field(default_factory=dict)
    leaving: dict[str, None] = field(default_factory=dict)
    """Clusters to forget before the record at hand is read."""
    reports: dict[tuple[str, DriftKind, str], "Draft | str"] = field(default_factory=dict)
    """What the row at hand says of findings, by cluster, kind and object id: a draft, or why there is none."""
    _policy: Policy | None = None
    _journal: dict[str, Any] = field(default_factory=dict)
    _called: list[dict[Any, Any]] = field(default_factory=list)

    def get(self, key: str, kind: type[C]) -> C | None:
        """Return the cell under a key, None where there is none."""
        found = self.changed[key] if key in self.changed else self.base.get(key)
        assert found is None or isinstance(found, kind), f"{key} holds a {type(found).__name__}"
        return found

    def put(self, key: str, cell: AnyCell | None) -> None:
        """Set, or with None delete, a cell."""
        self._journal.setdefault(key, self.changed.get(key, _UNCHANGED))
        self.changed[key] = cell

    def everything(self) -> Iterator[tuple[str, AnyCell]]:
        """Yield all cells with their keys. They are many: for what is done once in a cluster's life."""
        yield from (item for item in self.base.items() if item[0] not in self.changed)
        yield from ((key, cell) for key, cell in self.changed.items() if cell is not None)

    def result(self) -> dict[str, AnyCell | None]:
        """Return the cells that differ from those given."""
        return {key: cell for key, cell in self.changed.items() if cell != self.base.get(key)}

    @property
    def partition(self) -> PartitionCell:
        """The partition's cell."""
        return self.get("partition", PartitionCell) or PartitionCell()

    def cluster(self, cluster: str) -> ClusterCell:
        """Return a cluster's cell, a new one where it was never heard of."""
        return self.get(f"cluster/{cluster}", ClusterCell) or ClusterCell(first_seen_ms=self.now_ms)

    def put_cluster(self, cluster: str, cell: ClusterCell) -> None:
        """Set a cluster's cell."""
        self.put(f"cluster/{cluster}", cell)

    def owner(self, cluster: str, oid: str) -> OwnerCell | None:
        """Return an owner's cell."""
        return self.get(f"owner/{cluster}/{oid}", OwnerCell)

    def put_owner(self, cluster: str, cell: OwnerCell) -> None:
        """Set an owner's cell; its verdict will be weighed again."""
        self.put(f"owner/{cluster}/{cell.ref.id}", cell)
        self.verdicts[cluster, cell.ref.id] = None

    def source(self, cluster: str, oid: str) -> SourceCell | None:
        """Return a source's cell."""
        return self.get(f"source/{cluster}/{oid}", SourceCell)

    def object(self, cluster: str, oid: str) -> ObjectCell | None:
        """Return an object's cell."""
        return self.get(f"object/{cluster}/{oid}", ObjectCell)

    def put_object(self, cluster: str, cell: ObjectCell) -> None:
        """Set an object's cell."""
        self.put(f"object/{cluster}/{cell.ref.id}", cell)

    @property
    def policy(self) -> Policy:
        """The policy in force; the default where none was declared."""
        if self._policy is None:
            cell = self.get("policy", PolicyCell)
            self._policy = Policy.model_validate_json(cell.body) if cell else Policy()
        return self._policy

    def declare(self, policy: Policy | None) -> None:
        """Put a policy in force, or with None the default."""
        self.put("policy", PolicyCell(body=policy.model_dump_json().encode()) if policy else None)
        self._policy = policy

    def report(self, draft: "Draft") -> None:
        """Say that something drifted; told at the row's end, once, where it is news."""
        self.reports[draft.cluster, draft.kind, draft.ref.id] = draft

    def close(self, cluster: str, kind: DriftKind, oid: str, because: str) -> None:
        """Say that nothing of that kind is wrong with an object, and why a finding about it would close."""
        self.reports[cluster, kind, oid] = because

    def finding(self, cluster: str, kind: DriftKind, oid: str) -> FindingCell | None:
        """Return the open finding of that kind about an object, as it stood before the row at hand."""
        found = self.get(f"finding/{kind}/{cluster}/{oid}", FindingCell)
        return found if found and found.open else None

    def wake(self, cluster: str, what: str, due_ms: int) -> None:
        """Have something looked at again at `due_ms`; a later call for the same replaces the earlier.

        `what` is `<noun>.<why>|<id>`: each reason has a timer of its own.
        """
        key = f"timers/{cluster}"
        timers = self.get(key, TimersCell) or TimersCell()
        self.put(key, TimersCell(due_ms={**timers.due_ms, what: due_ms}))
        partition = self.partition
        if due_ms < partition.due_ms.get(cluster, due_ms + 1):
            self.put("partition", msgspec.structs.replace(partition, due_ms={**partition.due_ms, cluster: due_ms}))

    def say(self, topic: Topic, fact_type: FactType, subject: str, cluster: str, model: BaseModel) -> None:
        """Publish a fact about a subject, caused by the row at hand."""
        about = Publication(topic, fact_type, subject, "drift", self.cause, self.now_ms, cluster)
        self.facts.append(publish(about, model))

    def forget(self, topic: Topic, subject: str, cluster: str) -> None:
        """Publish a tombstone."""
        self.facts.append(tombstone(topic, subject, cluster))

    def refuse(self, reason: str, message: str) -> None:
        """Dead-letter the row at hand."""
        self.refused.append(Refused(self.cause, reason, message))

    def pass_over(self, reason: str) -> None:
        """Count what was read and does not count."""
        self.passed_over[reason] += 1

    def begin(self) -> None:
        """Begin a row; `undo` comes back to here."""
        self._journal = {}
        self._called = [dict(called) for called in self._calls()]

    def undo(self) -> None:
        """Take back what the row at hand has changed and called for."""
        for key, cell in self._journal.items():
            if cell is _UNCHANGED:
                del self.changed[key]
            else:
                self.changed[key] = cell
        for called, before in zip(self._calls(), self._called, strict=True):
            called.clear()
            called.update(before)

    def call_off(self, cluster: str) -> None:
        """Take back whatever was called for, or said, of a cluster's cells."""
        for called in (*self._calls(), self.reports):
            for key in [key for key in called if cluster == (key if isinstance(key, str) else key[0])]:
                del called[key]

    def _calls(self) -> tuple[dict[Any, Any], ...]:
        return (self.objects, self.owners, self.sources, self.verdicts, self.inventories)

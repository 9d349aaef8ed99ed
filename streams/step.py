"""What a step is: a pure function of its state and a batch.

`process(cells, batch)` returns what changes: new cells and facts. A step never mutates a cell, reads a clock, draws a
random number or does I/O; time is `batch.now_ms`, the append time of its newest record, carried on by tick records
where a partition is idle. A step's state is a mapping from keys to frozen cells, one mapping a partition; the engine
keeps it durable and gives back, on recovery, exactly the state of the last committed batch.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import msgspec
from pydantic import BaseModel

from abdrift.clock import to_datetime
from abdrift.cloudevents import CloudEvent
from abdrift.frames import EncodedFrame, Frame
from abdrift.topics import FactType, Topic

CellT = TypeVar("CellT")


@dataclass(frozen=True, slots=True)
class Cause:
    """The record, and the row of it, that made a step conclude something. `row` is 0 for a record without rows."""

    topic: str
    partition: int
    offset: int
    row: int = 0


@dataclass(frozen=True, slots=True)
class Input:
    """One Kafka record, already decoded: a frame, a fact (CloudEvent), a tombstone, or a tick (none of them)."""

    topic: str
    partition: int
    offset: int
    append_ms: int
    key: str | None = None
    frame: Frame | None = None
    event: CloudEvent | None = None
    tombstone: bool = False

    def cause(self, row: int = 0) -> Cause:
        """Return the cause that a row of this record is."""
        return Cause(self.topic, self.partition, self.offset, row)

    @property
    def is_tick(self) -> bool:
        """Whether the record only carries the clock on."""
        return self.frame is None and self.event is None and not self.tombstone


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition, in order, and how far behind the topic's end they are."""

    partition: int
    partitions: int
    inputs: Sequence[Input]
    lag_ms: int = 0
    """Wall-clock age of the newest input when the engine took it: what a backlog cannot tell by append times."""
    restoring: bool = False
    """True from start until the engine has read up to where the topic ended when it started."""

    @property
    def now_ms(self) -> int:
        """Append time of the newest input, in milliseconds since the epoch."""
        return max((i.append_ms for i in self.inputs), default=0)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One fact, or one frame of another signal, to publish. Neither of them is a tombstone."""

    topic: Topic
    key: str
    scope: str
    """The cluster's name, or the scope that decides the partition."""
    event: CloudEvent | None
    frame: EncodedFrame | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """One row or record that the step could not read; the engine dead-letters it."""

    cause: Cause
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Result(Generic[CellT]):
    """What a batch changed: cells by key (None deletes one), facts in order, and what was refused.

    `staged` are encoded cells that are written before the commit, one by one, and by it count: the commit holds
    neither them nor what they replace, so they are written once rather than twice. Their keys are new with each
    batch; until the commit the state is as if they were not there.
    """

    cells: Mapping[str, CellT | None] = field(default_factory=dict)
    facts: Sequence[Outgoing] = ()
    refused: Sequence[Refused] = ()
    staged: Iterable[tuple[str, bytes]] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)
    """How much of what was read does not count, by reason: meant, and not worth a dead letter each."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one batch of a step may hold, in place of what the engine is set to."""

    rows: int
    size_bytes: int


class Step(Protocol[CellT]):
    """A step as the engine sees it."""

    name: str
    """Also its state's name: kept for the topic version's life."""
    reads: tuple[Topic, ...]
    writes: tuple[Topic, ...]
    cell_type: Any
    """A msgspec Struct, or a tagged union of Structs, by which cells are encoded."""

    def process(self, cells: Mapping[str, CellT], batch: Batch) -> Result[CellT]:
        """Return what the batch changes. Pure."""
        ...


class Opened(Protocol):
    """One partition of an `OpenedStep`, its state held by the step itself."""

    def process(self, batch: Batch) -> Result[bytes]:
        """Take a batch in and return what it changes, encoded. Where this raises, it is opened anew."""
        ...


@runtime_checkable
class OpenedStep(Protocol):
    """A step whose state is too large, or too dear, to be decoded cells that are replaced.

    It is as deterministic as a `Step`: the same cells and records give the same state, however batches were cut.
    """

    name: str
    reads: tuple[Topic, ...]
    writes: tuple[Topic, ...]
    columns: Mapping[str, Sequence[str]]
    """By input topic: the columns of its frames that are decoded."""
    limits: Limits

    def open(self, kept: Mapping[str, bytes], partition: int, partitions: int) -> Opened:
        """Return a partition's state as its committed cells tell it."""
        ...


AnyStep = Step[Any] | OpenedStep


def fact_id(subject: str, kind: str, cause: Cause) -> str:
    """Return a fact's id: the same whenever the same cause leads to the same fact, however batches were cut."""
    text = f"{subject}\n{kind}\n{cause.topic}\n{cause.partition}\n{cause.offset}\n{cause.row}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def stable_id(*parts: str) -> str:
    """Return an id that depends on the parts alone."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Publication:
    """What a fact is about and why it is said now; turned into an `Outgoing` by `publish`."""

    topic: Topic
    fact_type: FactType
    subject: str
    source: str
    """The step that says it, e.g. `drift`."""
    cause: Cause
    at_ms: int
    cluster: str | None = None
    scope: str | None = None
    """Where it belongs to no cluster; defaults to the cluster."""


def publish(about: Publication, model: BaseModel | Mapping[str, Any]) -> Outgoing:
    """Return the fact as a CloudEvent, ready for the outbox."""
    data = model.model_dump(mode="json", exclude_none=True) if isinstance(model, BaseModel) else dict(model)
    scope = about.scope or about.cluster
    assert scope, "a fact needs a cluster or a scope"
    event = about.fact_type.event(
        about.subject,
        data,
        event_id=fact_id(about.subject, f"{about.fact_type.name}@{data.get('revision', 0)}", about.cause),
        source=f"/abdrift/streams/{about.source}",
        at=to_datetime(about.at_ms),
        cluster=about.cluster,
    )
    return Outgoing(about.topic, about.subject, scope, event)


def tombstone(topic: Topic, key: str, scope: str) -> Outgoing:
    """Return the record that lets a compacted topic forget a key."""
    return Outgoing(topic, key, scope, None)


def cell_codec(cell_type: type[CellT]) -> tuple[msgspec.msgpack.Encoder, "msgspec.msgpack.Decoder[CellT]"]:
    """Return the encoder and decoder of a step's cells."""
    return msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(cell_type)

"""The sink's process: reads commands and findings from Kafka, hands each cluster's to its executor.

Offsets are committed only below the oldest command that has not ended, so that a restart finds it again; the ledger,
rebuilt from the outcomes topic, tells what was accepted before. Partitions are assigned by hand: a sink reads only
those of the clusters it serves, and two sinks never share a group.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from pydantic import BaseModel, ValidationError

from abdrift.clock import ClockMs, to_datetime, wall_clock_ms
from abdrift.cloudevents import HEADERS, CloudEvent
from abdrift.facts.commands import Outcome
from abdrift.facts.drift import Finding
from abdrift.partitions import partition_of
from abdrift.topics import COMMAND, FINDING, FLEET_COMMANDS, FLEET_DRIFT, FLEET_OUTCOMES, OUTCOME, Topic
from sinks import telemetry
from sinks.gitops.executor import Executor, Run
from sinks.gitops.findings import FindingsView
from sinks.gitops.ledger import KEPT_MS
from sinks.gitops.verify import Position

log = logging.getLogger(__name__)

_QUEUE = 1_000
_M = TypeVar("_M", bound=BaseModel)


@dataclass(slots=True)
class _Unfinished:
    """The offsets of one partition's commands that have not ended."""

    offsets: set[int] = field(default_factory=set)
    next_offset: int = 0

    @property
    def committable(self) -> int:
        """The offset a restart should begin at."""
        return min(self.offsets, default=self.next_offset)


class OutcomePublisher:
    """Publishes outcomes as CloudEvents, to the cluster's partition."""

    def __init__(self, producer: AIOKafkaProducer, partitions: int) -> None:
        self._producer = producer
        self._partitions = partitions

    async def __call__(self, outcome: Outcome, subject: str) -> None:
        """Return once Kafka has it."""
        at = outcome.finished_at or outcome.received_at
        event = OUTCOME.event(
            subject,
            outcome,
            event_id=f"{subject}/{outcome.revision}",
            source="/abdrift/sinks/gitops",
            at=at or to_datetime(0),
            cluster=outcome.cluster.name,
        )
        await self._producer.send_and_wait(
            FLEET_OUTCOMES.name,
            key=subject.encode(),
            value=event.encode(),
            partition=partition_of(outcome.cluster.name, self._partitions),
            headers=list(HEADERS),
        )


class GitOpsSink:
    """Serves some clusters. `run` returns when it is cancelled, with what is in flight left to be resumed."""

    def __init__(
        self,
        executors: Mapping[str, Executor],
        findings: FindingsView,
        *,
        commands: AIOKafkaConsumer,
        facts: AIOKafkaConsumer,
        clock: ClockMs = wall_clock_ms,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        """Take started consumers: `commands` with a group of this sink's own, `facts` without one."""
        self._executors = executors
        self._findings = findings
        self._commands = commands
        self._facts = facts
        self._clock = clock
        self._unfinished: dict[int, _Unfinished] = {}
        self._queues: dict[str, asyncio.Queue[ConsumerRecord]] = {c: asyncio.Queue(_QUEUE) for c in executors}
        self._on_ready = on_ready

    async def run(self) -> None:
        """Restore the ledgers, then serve."""
        partitions = await self._partitions_of_clusters()
        await self._restore(partitions)
        await self._seek_recent(self._facts, FLEET_DRIFT, partitions)
        self._commands.assign([TopicPartition(FLEET_COMMANDS.name, p) for p in partitions])
        self._on_ready()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_findings())
            for cluster, executor in self._executors.items():
                tasks.create_task(self._serve(executor, self._queues[cluster]))
            tasks.create_task(self._read_commands())

    async def _partitions_of_clusters(self) -> list[int]:
        known = await self._commands._client.fetch_all_metadata()  # noqa: SLF001  aiokafka has no public way without a group
        count = len(known.partitions_for_topic(FLEET_COMMANDS.name) or ())
        if not count:
            raise RuntimeError(f"topic {FLEET_COMMANDS.name} is missing; run: abdrift topics create")
        return sorted({partition_of(cluster, count) for cluster in self._executors})

    async def _seek_recent(self, consumer: AIOKafkaConsumer, topic: Topic, partitions: list[int]) -> None:
        """Assign and go back as far as anything can matter for a command that may still live."""
        assigned = [TopicPartition(topic.name, p) for p in partitions]
        consumer.assign(assigned)
        found = await consumer.offsets_for_times(dict.fromkeys(assigned, self._clock() - KEPT_MS))
        for partition in assigned:
            at = found.get(partition)
            if at is None:
                await consumer.seek_to_end(partition)
            else:
                consumer.seek(partition, at.offset)

    async def _restore(self, partitions: list[int]) -> None:
        await self._seek_recent(self._facts, FLEET_OUTCOMES, partitions)
        ends = await self._facts.end_offsets([TopicPartition(FLEET_OUTCOMES.name, p) for p in partitions])
        for partition, end in ends.items():
            while await self._facts.position(partition) < end:
                batch = await self._facts.getmany(partition, timeout_ms=1_000)
                for record in batch.get(partition, ()):
                    outcome = _model(record, OUTCOME.name, Outcome)
                    if outcome is not None and outcome.cluster.name in self._executors:
                        self._executors[outcome.cluster.name].ledger.absorb(outcome)

    async def _read_findings(self) -> None:
        async for record in _records(self._facts):
            finding = _model(record, FINDING.name, Finding)
            if finding is not None and finding.cluster.name in self._executors:
                await self._findings.absorb(finding)

    async def _read_commands(self) -> None:
        async for record in _records(self._commands):
            unfinished = self._unfinished.setdefault(record.partition, _Unfinished())
            unfinished.next_offset = record.offset + 1
            event = _event(record)
            queue = self._queues.get(event.cluster or "") if event is not None else None
            if event is None or queue is None or event.type != COMMAND.name:
                continue
            telemetry.COMMANDS_READ.inc()
            unfinished.offsets.add(record.offset)
            await queue.put(record)

    async def _serve(self, executor: Executor, queue: asyncio.Queue[ConsumerRecord]) -> None:
        """Admit one cluster's commands in order; carry out as many at once as its cap allows."""
        slots = asyncio.Semaphore(executor.config.in_flight_cap)
        async with asyncio.TaskGroup() as running:
            while True:
                record = await queue.get()
                await slots.acquire()
                event = CloudEvent.decode(record.value)
                run = await executor.take(event.data, Position(record.partition, record.offset))
                if run is None:
                    slots.release()
                    await self._finish(record)
                    continue

                async def carry(run: Run = run, record: ConsumerRecord = record) -> None:
                    with telemetry.COMMANDS_IN_FLIGHT.track_inprogress():
                        await executor.carry_out(run)
                    slots.release()
                    await self._finish(record)

                running.create_task(carry())
                executor.ledger.forget(self._clock())

    async def _finish(self, record: ConsumerRecord) -> None:
        unfinished = self._unfinished[record.partition]
        unfinished.offsets.discard(record.offset)
        await self._commands.commit({TopicPartition(record.topic, record.partition): unfinished.committable})


async def _records(consumer: AIOKafkaConsumer) -> AsyncIterator[ConsumerRecord]:
    async for record in consumer:
        yield record


def _event(record: ConsumerRecord) -> CloudEvent | None:
    if record.value is None:
        return None
    try:
        return CloudEvent.decode(record.value)
    except ValidationError as error:
        telemetry.RECORDS_UNREADABLE.labels(record.topic).inc()
        log.warning("%s/%d@%d is no CloudEvent: %s", record.topic, record.partition, record.offset, error)
        return None


def _model(record: ConsumerRecord, kind: str, model: type[_M]) -> _M | None:
    """Return the record's data, or None where it is another kind of fact or unreadable."""
    event = _event(record)
    if event is None or event.type != kind:
        return None
    with contextlib.suppress(ValidationError):
        return model.model_validate(event.data)
    telemetry.RECORDS_UNREADABLE.labels(record.topic).inc()
    return None

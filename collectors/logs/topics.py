"""Log events from a Kafka topic of theirs: Logstash's, Vector's and Fluent Bit's Kafka outputs, rsyslog's omkafka.

Offsets are committed once Kafka has the rows and the dead letters of all records below them, so that a restart loses
nothing and repeats at most what was under way. A record that can't be read never holds up what is behind it.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from pydantic import Field, field_validator

from abdrift.clock import ClockMs
from abdrift.configuration import Settings, doubled
from abdrift.letters import Letter
from collectors.dead_letters import DeadLetters
from collectors.logs import intake, telemetry
from collectors.logs.events import EventsConfig, Origin, Reader, Refused
from collectors.logs.intake import Result
from collectors.receiving.clients import spoken_for
from collectors.receiving.handlers import Delivers

log = logging.getLogger(__name__)

_POLL_MS: Final = 500
_REVOKED_SECONDS: Final = 20.0
"""How long a rebalance waits for what is under way; then it is read again by whoever gets the partition."""


class TopicConfig(Settings):
    """One topic of events in JSON: one a record, an array, or one a line."""

    topic: str = Field(min_length=1, max_length=249)
    cluster: str | None = Field(default=None, description="All of it is of this cluster, whatever an event names.")
    clusters: tuple[str, ...] = Field(default=("*",), description="Globs of the clusters that its events may name.")
    sender: str = Field(default="kafka", description="What writes it, where the events don't say so.")

    def cluster_of(self, named: str | None) -> str:
        """Return which cluster an event is of, given what it names.

        Raises:
            NotItsClusterError: the topic may not speak for that one, or the event had to name one.

        """
        return self.cluster or spoken_for(f"topic {self.topic}", self.clusters, named)


class TopicsConfig(EventsConfig):
    """What a user sets for reading topics, as one YAML file."""

    topics: tuple[TopicConfig, ...] = Field(min_length=1)
    group_id: str = Field(default="abdrift-logs", min_length=1)
    kafka_config: Path | None = Field(
        default=None, description="Properties file of the Kafka to read from; absent: the one that is written to."
    )
    poll_records: int = Field(default=2_000, ge=1, description="Read at once, at most.")
    fetch_bytes: int = Field(
        default=8 * 1024 * 1024, ge=1024, description="Of a partition, at once; a record may be larger."
    )

    @field_validator("topics")
    @classmethod
    def _once(cls, value: tuple[TopicConfig, ...]) -> tuple[TopicConfig, ...]:
        if twice := doubled(each.topic for each in value):
            raise ValueError(f"topic {twice!r} is given twice")
        return value


@dataclass(frozen=True, slots=True)
class Parts:
    """What a reader works with."""

    consumer: AIOKafkaConsumer
    """Started, of the group, subscribed to nothing; it commits nothing by itself."""
    outlet: Delivers
    letters: DeadLetters
    clock: ClockMs
    source: str


class TopicReader(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Reads the topics of one configuration until cancelled."""

    def __init__(self, config: TopicsConfig, parts: Parts) -> None:
        """Raise ConfigurationError where the masking key can't be used."""
        self._config = config
        self._parts = parts
        self._topics = {each.topic: each for each in config.topics}
        self._reader = Reader(config, parts.source)
        self._under_way = asyncio.Lock()

    async def run(self) -> None:
        """Read, deliver, commit; again and again.

        Raises:
            NotDeliveredError: Kafka refuses rows for good; nothing of theirs was committed.
            aiokafka.errors.KafkaError: the topics can't be read.

        """
        self._parts.consumer.subscribe(list(self._topics), listener=self)
        while True:
            polled = await self._parts.consumer.getmany(timeout_ms=_POLL_MS, max_records=self._config.poll_records)
            if polled:
                async with self._under_way:
                    await self._take(polled)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002  the listener's
        """Let what is under way be committed before its partitions go to others."""
        try:
            async with asyncio.timeout(_REVOKED_SECONDS), self._under_way:
                pass
        except TimeoutError:
            log.warning("%s: a rebalance does not wait for Kafka; what is under way is read again", self._parts.source)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Say what is read from now on."""
        log.info("%s: reads %s", self._parts.source, ", ".join(f"{p.topic}/{p.partition}" for p in sorted(assigned)))

    async def _take(self, polled: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> None:
        records = [record for of_partition in polled.values() for record in of_partition]
        size_bytes = sum(len(record.value or b"") for record in records)
        letters: list[Letter] = []

        def read() -> Iterator[Result]:
            for record in records:
                refused: list[Refused] = []
                for result in self._read(record):
                    if isinstance(result, Refused):
                        refused.append(result)
                    else:
                        yield result
                letters.extend(_letter(record, each) for each in intake.bundled(refused))

        found = await intake.aside(read, size_bytes)
        if letters:
            await self._parts.letters.publish(letters)
        if found.rows:
            await self._parts.outlet.deliver(found.rows)
        await self._commit({partition: of_partition[-1].offset + 1 for partition, of_partition in polled.items()})
        self._count(polled)

    def _read(self, record: ConsumerRecord) -> Iterator[Result]:
        if record.value is None:
            yield Refused("no-object", "a record without a value", b"")
            return
        topic = self._topics[record.topic]
        # -1 is a record without a time.
        sent_ms = record.timestamp if record.timestamp > 0 else None
        origin = Origin(topic.cluster_of, self._parts.clock(), topic.sender, sent_ms)
        yield from intake.read_body(self._reader, record.value, origin)

    async def _commit(self, offsets: dict[TopicPartition, int]) -> None:
        try:
            await self._parts.consumer.commit(offsets)
        except (KafkaError, IllegalStateError) as error:
            # The partition is another's by now, or the coordinator is away: the next commit covers this one, and
            # where there is none, the records are read again.
            for topic in {partition.topic for partition in offsets}:
                telemetry.COMMIT_FAILURES.labels(topic).inc()
            log.warning("%s: a commit failed: %r", self._parts.source, error)

    def _count(self, polled: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> None:
        for partition, of_partition in polled.items():
            telemetry.RECORDS.labels(partition.topic).inc(len(of_partition))
            end = self._parts.consumer.highwater(partition) if partition in self._parts.consumer.assignment() else None
            if end is not None:
                lag = max(0, end - of_partition[-1].offset - 1)
                telemetry.LAG.labels(partition.topic, str(partition.partition)).set(lag)


def _letter(record: ConsumerRecord, refused: Refused) -> Letter:
    return Letter(
        record.topic,
        refused.reason,
        refused.message,
        refused.value,
        key=record.key,
        partition=record.partition,
        offset=record.offset,
    )

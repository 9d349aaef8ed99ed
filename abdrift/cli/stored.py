"""Facts stored in a running Kafka, read or written once by a command."""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import typer
from aiokafka import ConsumerRecord, TopicPartition
from pydantic import ValidationError

from abdrift.cloudevents import HEADERS, CloudEvent
from abdrift.kafka import KafkaSettings, consumer, partition_count, producer
from abdrift.latest import is_tick
from abdrift.topics import Topic

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Stored:
    """One record of a fleet topic. `event` None is a tombstone, or a tick where `key` is None or no fact's."""

    topic: str
    partition: int
    offset: int
    append_ms: int
    key: str | None
    event: CloudEvent | None


@dataclass(frozen=True, slots=True)
class Read:
    """What was read, in order of append time, and how many records were no CloudEvents."""

    records: list[Stored]
    unreadable: int


async def read(
    kafka: KafkaSettings, topics: Iterable[Topic], *, since_ms: int | None = None, partition: int | None = None
) -> Read:
    """Return what the topics hold up to now.

    Args:
        kafka: Where.
        topics: Each must exist.
        since_ms: Only what was appended since then, in milliseconds since the epoch.
        partition: Only this partition of each topic.

    Raises:
        TopicMissingError: one does not exist.

    """
    records: list[Stored] = []
    unreadable = 0
    async with consumer(kafka) as client:
        found = []
        for topic in topics:
            numbers = await _partitions(kafka, topic) if partition is None else [partition]
            found += [TopicPartition(topic.name, number) for number in numbers]
        client.assign(found)
        ends = await client.end_offsets(found)
        if since_ms is not None:
            starts = await client.offsets_for_times(dict.fromkeys(found, since_ms))
            for place, start in starts.items():
                client.seek(place, start.offset if start else ends[place])
        while [p for p in found if await client.position(p) < ends[p]]:
            for batch in (await client.getmany(timeout_ms=500)).values():
                for record in batch:
                    try:
                        records.append(_stored(record))
                    except (ValidationError, UnicodeDecodeError):
                        unreadable += 1
    records.sort(key=lambda r: (r.append_ms, r.topic, r.partition, r.offset))
    return Read(records, unreadable)


async def write(kafka: KafkaSettings, topic: Topic, events: Iterable[tuple[int, CloudEvent]]) -> None:
    """Write events to partitions of a topic, each keyed by its subject; returns once all are acknowledged."""
    async with producer(kafka) as client:
        for partition, event in events:
            await client.send_and_wait(
                topic.name, event.encode(), event.subject.encode(), partition=partition, headers=list(HEADERS)
            )


async def partitions(kafka: KafkaSettings, topic: Topic) -> int:
    """Return how many partitions a topic has.

    Raises:
        TopicMissingError: it does not exist.

    """
    return await partition_count(kafka, topic.name)


def duration(text: str) -> timedelta:
    """Return the time that a text such as 90s, 30m, 2h or 1d names.

    Raises:
        typer.BadParameter: it names none.

    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise typer.BadParameter(f"{text!r} is no duration; write 90s, 30m, 2h or 1d")
    return timedelta(**{_UNITS[match[2]]: float(match[1])})


def ago_ms(text: str) -> int:
    """Return when it was a duration ago, in milliseconds since the epoch."""
    return round((time.time() - duration(text).total_seconds()) * 1000)


async def _partitions(kafka: KafkaSettings, topic: Topic) -> list[int]:
    return list(range(await partition_count(kafka, topic.name)))


def _stored(record: ConsumerRecord) -> Stored:
    key = None if record.key is None or is_tick(record) else record.key.decode()
    event = CloudEvent.decode(record.value) if record.value is not None else None
    return Stored(record.topic, record.partition, record.offset, record.timestamp, key, event)

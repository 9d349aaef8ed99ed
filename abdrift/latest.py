"""The newest fact of every key of compacted topics, read up to now and then as it changes.

What views, exporters and pages know of the fleet. A value stays the bytes that Kafka gave: of ten thousand clusters'
facts few are looked at, and decoded ones take ten times the memory.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from abdrift.kafka import KafkaSettings, consumer, partition_count
from abdrift.topics import Topic

# A reader may be a moment late; without this the broker answers for every tick, dozens of times a second.
_PATIENT: Final = {"fetch_min_bytes": 1 << 20, "fetch_max_wait_ms": 200}
_POLL_MS: Final = 500
_MOST_RECORDS: Final = 5_000

Wanted = Callable[[str, str], bool]
"""Of a topic's name and a key: whether it is kept at all. Asked before anything is decoded."""


@dataclass(frozen=True, slots=True)
class Change:
    """One record that was newer than what was known of its key. `value` None: the key is forgotten."""

    topic: str
    key: str
    value: bytes | None
    append_ms: int

    def event(self) -> dict[str, Any] | None:
        """Return the CloudEvent as JSON has it; None for a tombstone, and for what is no JSON object."""
        return decoded(self.value)


@dataclass(slots=True)
class Latest:
    """The newest value of each wanted key, by topic, and up to where each partition was read."""

    wanted: Wanted = lambda _topic, _key: True
    values: dict[str, dict[str, bytes]] = field(default_factory=dict)
    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    """The next offset to read, by topic and partition."""
    appended_ms: dict[str, dict[str, int]] = field(default_factory=dict)
    """When Kafka took each value, by topic and key."""

    def take(self, record: ConsumerRecord) -> Change | None:
        """Take a record in; return what it changed. A tick, and a key that is not wanted, changes nothing."""
        self.positions[record.topic, record.partition] = record.offset + 1
        if record.key is None:
            return None
        key = record.key.decode(errors="replace")
        if _is_tick(record) or not self.wanted(record.topic, key):
            return None
        kept, appended = self.values.setdefault(record.topic, {}), self.appended_ms.setdefault(record.topic, {})
        if record.value is None:
            appended.pop(key, None)
            if kept.pop(key, None) is None:
                return None
        else:
            kept[key], appended[key] = record.value, record.timestamp
        return Change(record.topic, key, record.value, record.timestamp)

    def changes(self, topic: Topic) -> Iterator[Change]:
        """Yield what is known of a topic, as if it changed now, for what takes changes in."""
        appended = self.appended_ms.get(topic.name, {})
        for key, value in self.values.get(topic.name, {}).items():
            yield Change(topic.name, key, value, appended[key])

    def events(self, topic: Topic) -> dict[str, dict[str, Any]]:
        """Return the newest CloudEvents of a topic by key, decoded; what is no JSON object is left out."""
        known = ((key, decoded(value)) for key, value in self.values.get(topic.name, {}).items())
        return {key: event for key, event in known if event is not None}


class Reader:
    """Reads topics without a group, from where a `Latest` was read to."""

    def __init__(self, client: AIOKafkaConsumer, latest: Latest, ends: dict[TopicPartition, int]) -> None:
        self._client = client
        self._latest = latest
        self._ends = ends
        self.total = sum(max(0, end - latest.positions.get((p.topic, p.partition), 0)) for p, end in ends.items())
        """Records up to now, at most: compaction takes some away."""

    async def catch_up(self) -> AsyncIterator[int]:
        """Take in what the topics held when this was opened; yield how many records of `total` are left, at most."""
        while left := await self._left():
            yield left
            await self._poll()
        yield 0

    async def changes(self) -> AsyncIterator[Sequence[Change]]:
        """Yield what changes from here on, as it comes; an empty sequence at least every half second."""
        while True:
            yield await self._poll()

    async def behind(self) -> int:
        """Return how many records the topics hold now beyond what was read, at most: 0 where all that is said is known.

        Raises:
            aiokafka.errors.KafkaError: no broker answers.

        """
        self._ends = await self._client.end_offsets(list(self._ends))
        return await self._left()

    async def _poll(self) -> list[Change]:
        read = await self._client.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
        taken = (self._latest.take(record) for records in read.values() for record in records)
        return [change for change in taken if change]

    async def _left(self) -> int:
        # By position, for a partition may end in what compaction or a transaction left no record of.
        return sum([max(0, end - await self._client.position(place)) for place, end in self._ends.items()])


@contextlib.asynccontextmanager
async def opened(kafka: KafkaSettings, topics: Sequence[Topic], latest: Latest) -> AsyncIterator[Reader]:
    """Yield a reader of the topics, each of which must exist.

    Raises:
        KafkaUnreachableError: no broker lets this client in.
        TopicMissingError: one does not exist.

    """
    async with consumer(kafka, **_PATIENT) as client:
        places = [
            TopicPartition(topic.name, number)
            for topic in topics
            for number in range(await partition_count(kafka, topic.name))
        ]
        client.assign(places)
        for place in places:
            client.seek(place, latest.positions.get((place.topic, place.partition), 0))
        yield Reader(client, latest, await client.end_offsets(places))


def decoded(value: bytes | None) -> dict[str, Any] | None:
    """Return the JSON object in a record's value; None where there is none."""
    try:
        read = orjson.loads(value) if value else None
    except orjson.JSONDecodeError:
        return None
    return read if isinstance(read, dict) else None


def _is_tick(record: ConsumerRecord) -> bool:
    return record.value is None and any(name == "abdrift-kind" for name, _ in record.headers)

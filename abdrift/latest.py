"""The newest fact of every key of compacted topics, read up to now and then as it changes.

What views, exporters and pages know of the fleet. A value stays the bytes that Kafka gave: of ten thousand clusters'
facts few are looked at, and decoded ones take ten times the memory.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from abdrift.kafka import KafkaSettings, Layout, consumer, layout
from abdrift.topics import Topic

# A reader may be a moment late; without this the broker answers for every tick, dozens of times a second.
_PATIENT: Final = {"fetch_min_bytes": 1 << 20, "fetch_max_wait_ms": 200}
_POLL_MS: Final = 500
_MOST_RECORDS: Final = 5_000
_SPARE_TIMES: Final = 1_000

Wanted = Callable[[str, str], bool]
"""Of a topic's name and a key: whether it is kept at all. Asked before anything is decoded."""
Since = Callable[[str, int, int], int]
"""Of a topic's name, a partition and how many there are: the append time from which on it is read, in milliseconds
since the epoch; 0 for from the beginning."""


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
    marks: dict[tuple[str, int], int] = field(default_factory=dict)
    """When Kafka took the last record read, by topic and partition: so one knows the partition again."""

    def take(self, record: ConsumerRecord) -> Change | None:
        """Take a record in; return what it changed. A tick, and a key that is not wanted, changes nothing."""
        self.positions[record.topic, record.partition] = record.offset + 1
        self.marks[record.topic, record.partition] = record.timestamp
        if record.key is None:
            return None
        key = record.key.decode(errors="replace")
        if is_tick(record) or not self.wanted(record.topic, key):
            return None
        kept, appended = self.values.setdefault(record.topic, {}), self.appended_ms.setdefault(record.topic, {})
        if record.value is None:
            appended.pop(key, None)
            if kept.pop(key, None) is None:
                return None
        else:
            kept[key], appended[key] = record.value, record.timestamp
        if len(appended) > 2 * len(kept) + _SPARE_TIMES:  # somebody took values away, who need not know of these
            self.appended_ms[record.topic] = {key: ms for key, ms in appended.items() if key in kept}
        return Change(record.topic, key, record.value, record.timestamp)

    def forget(self, topic: str) -> None:
        """Let go of all that is known of a topic, so that it is read from its beginning."""
        self.values.pop(topic, None)
        self.appended_ms.pop(topic, None)
        for known in (self.positions, self.marks):
            for place in [each for each in known if each[0] == topic]:
                del known[place]

    def changes(self, topic: Topic) -> Iterator[Change]:
        """Yield what is known of a topic, as if it changed now, for what takes changes in."""
        appended = self.appended_ms.get(topic.name, {})
        for key, value in self.values.get(topic.name, {}).items():
            yield Change(topic.name, key, value, appended.get(key, 0))


class Reader:
    """Reads topics without a group, from where a `Latest` was read to."""

    def __init__(
        self, client: AIOKafkaConsumer, latest: Latest, spans: Mapping[TopicPartition, tuple[int, int]]
    ) -> None:
        self._client = client
        self._latest = latest
        self._ends = {place: end for place, (_, end) in spans.items()}
        self.total = sum(max(0, end - start) for start, end in spans.values())
        """Records up to now, at most: compaction takes some away."""
        self.taken = 0
        """Records read."""

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
        self.taken += sum(map(len, read.values()))
        taken = (self._latest.take(record) for records in read.values() for record in records)
        return [change for change in taken if change]

    async def _left(self) -> int:
        # By position, for a partition may end in what compaction or a transaction left no record of.
        return sum([max(0, end - await self._client.position(place)) for place, end in self._ends.items()])


@contextlib.asynccontextmanager
async def opened(
    kafka: KafkaSettings,
    topics: Sequence[Topic],
    latest: Latest,
    *,
    since: Since | None = None,
    found: Layout | None = None,
) -> AsyncIterator[Reader]:
    """Yield a reader of the topics, each of which must exist, from where they were read to.

    What was read of a topic that was deleted since, and perhaps created again, is forgotten and read anew.

    Args:
        kafka: Where.
        topics: Which.
        latest: What is known of them, and is to be.
        since: From when on a partition is read at most; without it, from its beginning.
        found: What the Kafka cluster holds, where that is known already.

    Raises:
        KafkaUnreachableError: no broker lets this client in.
        TopicMissingError: one does not exist.

    """
    found = found or await layout(kafka)
    counts = {topic.name: found.count(topic.name) for topic in topics}
    async with consumer(kafka, **_PATIENT) as client:
        places = [TopicPartition(name, number) for name, count in counts.items() for number in range(count)]
        client.assign(places)
        ends = await client.end_offsets(places)
        for name in await _made_anew(client, latest, ends, {topic.name for topic in topics if topic.compacted}):
            latest.forget(name)
        when = since or _from_the_beginning
        starts = await _starts(client, {p: when(p.topic, p.partition, counts[p.topic]) for p in places}, ends)
        spans = {}
        for place in places:
            start = max(latest.positions.get((place.topic, place.partition), 0), starts.get(place, 0))
            client.seek(place, start)
            spans[place] = (start, ends[place])
        yield Reader(client, latest, spans)


def _from_the_beginning(_topic: str, _partition: int, _partitions: int) -> int:
    return 0


async def _starts(
    client: AIOKafkaConsumer, since_ms: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Return the first offset of each partition from a time on."""
    asked = {place: ms for place, ms in since_ms.items() if ms > 0}
    answers = await client.offsets_for_times(asked) if asked else {}
    return {place: found.offset if found else ends[place] for place, found in answers.items()}


async def _made_anew(
    client: AIOKafkaConsumer, latest: Latest, ends: Mapping[TopicPartition, int], compacted: AbstractSet[str]
) -> set[str]:
    """Return the topics that were read, and of which those of the same name are others, or have lost records since."""
    topics = {place.topic for place in ends}
    read = {TopicPartition(*each): at for each, at in latest.positions.items() if each[0] in topics}
    anew = {place.topic for place, at in read.items() if at > ends.get(place, -1)}
    kept = {place: at for place, at in read.items() if place.topic not in anew}
    begins = await client.beginning_offsets([place for place in kept if place.topic in compacted])
    anew |= {place.topic for place, begin in begins.items() if kept[place] < begin}
    marks = {place: ms for place in kept if (ms := latest.marks.get((place.topic, place.partition)))}
    answers = await client.offsets_for_times(marks) if marks else {}
    for place, found in answers.items():
        # In the topic that was read, the first record of that time or later is the last one read, or what follows it.
        if found is not None and found.timestamp > marks[place] and found.offset < kept[place]:
            anew.add(place.topic)
    return anew


def decoded(value: bytes | None) -> dict[str, Any] | None:
    """Return the JSON object in a record's value; None where there is none."""
    try:
        read = orjson.loads(value) if value else None
    except orjson.JSONDecodeError:
        return None
    return read if isinstance(read, dict) else None


def is_tick(record: ConsumerRecord) -> bool:
    """Tell whether a record only says that time has passed: neither a fact nor a tombstone."""
    return record.value is None and any(name == "abdrift-kind" for name, _ in record.headers)

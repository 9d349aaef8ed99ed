"""Reads what Kafka holds about one cluster into its story: of each topic only the partitions that can tell of it."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from abdrift.kafka import KafkaSettings, consumer, layout
from abdrift.latest import decoded
from abdrift.partitions import FLEET_SCOPE, partition_of
from abdrift.timeline.entries import Entry, in_order
from abdrift.timeline.story import Story, Told
from abdrift.topics import (
    FLEET_APPROVALS,
    FLEET_COMMANDS,
    FLEET_DECISIONS,
    FLEET_DRIFT,
    FLEET_HEALTH,
    FLEET_INCIDENTS,
    FLEET_INVENTORY,
    FLEET_OUTCOMES,
    OBJECTS,
    Topic,
)

MOST_FRAMES: Final = 20_000
"""Of signals no more than the newest so many are looked through for moves of Git; their partition holds every
cluster's heartbeats, too."""
_WHOLE: Final = (FLEET_INVENTORY, FLEET_DRIFT)
"""Of the cluster's partition, from the beginning: what was before is needed to tell what changed."""
_RECENT: Final = (FLEET_HEALTH, FLEET_DECISIONS, FLEET_COMMANDS, FLEET_OUTCOMES, FLEET_APPROVALS)
_OF_THE_FLEET: Final = (FLEET_DECISIONS, FLEET_APPROVALS)
"""Of the fleet's partition too: the breaker and freezes stop every cluster."""
_FLEET_KEYS: Final = frozenset({b"governor", FLEET_SCOPE.encode()})
_GIT_LANE: Final = b'"git"'
"""In a frame's parts, the name of the Git collector, the only one that tells of remotes."""
_PATIENT: Final = {"fetch_min_bytes": 1 << 16, "fetch_max_wait_ms": 200}
_POLL_MS: Final = 500


@dataclass(slots=True)
class StoryReader:
    """Reads a cluster's story up to now, and then as it goes on."""

    client: AIOKafkaConsumer
    story: Story
    ends: dict[TopicPartition, int]
    is_cut: bool = False
    """Whether there were more frames than are looked through for moves of Git."""
    git_since_ms: int | None = None
    """From when on moves of Git were looked for, where that is later than asked."""
    _needle: bytes = field(init=False)

    def __post_init__(self) -> None:
        self._needle = orjson.dumps(self.story.cluster)

    async def catch_up(self) -> None:
        """Take in what is known up to now."""
        records: list[ConsumerRecord] = []
        while [place for place, end in self.ends.items() if await self.client.position(place) < end]:
            read = await self._poll()
            if self.is_cut and self.git_since_ms is None:
                self.git_since_ms = next((record.timestamp for record in read if record.topic == OBJECTS.name), None)
            records += filter(self._is_wanted, read)
        # What the cluster follows comes first: moves of other remotes are none of its own.
        records.sort(key=lambda record: (record.topic != FLEET_INVENTORY.name, record.timestamp, record.offset))
        facts = [told for record in records if (told := _told(record))]
        self.story.learn(facts)
        self._take(records)

    async def follow(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield what is added to the story from here on, as it comes; an empty sequence at least every half second."""
        while True:
            yield self._take([record for record in await self._poll() if self._is_wanted(record)])

    async def _poll(self) -> list[ConsumerRecord]:
        read = await self.client.getmany(timeout_ms=_POLL_MS)
        return [record for records in read.values() for record in records]

    def _is_wanted(self, record: ConsumerRecord) -> bool:
        """Whether a record may tell of the cluster: asked before it is decoded, for most tell of its neighbours."""
        if record.value is None:
            return False
        if record.topic == OBJECTS.name:
            return _GIT_LANE in dict(record.headers).get("abdrift-parts", b"")
        is_of_all = record.topic == FLEET_INCIDENTS.name or record.key in _FLEET_KEYS
        return is_of_all or self._needle in record.value

    def _take(self, records: Sequence[ConsumerRecord]) -> list[Entry]:
        added: list[Entry] = []
        for record in records:
            if record.topic == OBJECTS.name:
                added += self._take_heads(record)
            elif told := _told(record):
                added += self.story.take(told)
            else:
                self.story.unreadable += 1
        return in_order(added)

    def _take_heads(self, record: ConsumerRecord) -> list[Entry]:
        import msgspec  # noqa: PLC0415  both take long to import, and most stories need neither

        from abdrift.columns import BadFrame  # noqa: PLC0415
        from abdrift.timeline.heads import heads_in  # noqa: PLC0415

        try:
            return [entry for head in heads_in(record) for entry in self.story.take_head(head)]
        except (BadFrame, msgspec.DecodeError):
            self.story.unreadable += 1
            return []


@contextlib.asynccontextmanager
async def opened(kafka: KafkaSettings, cluster: str, since_ms: int, *, git: bool = True) -> AsyncIterator[StoryReader]:
    """Yield a reader of a cluster's story.

    Args:
        kafka: Where.
        cluster: Its name in the fleet; of one that nobody knows there is no story.
        since_ms: From when on what happened is told, in milliseconds since the epoch.
        git: Whether moves of its Git remotes are looked for, too: in the signals, which are many.

    Raises:
        KafkaUnreachableError: no broker lets this client in.
        TopicMissingError: a topic does not exist.

    """
    found = await layout(kafka)

    def place(topic: Topic, scope: str) -> TopicPartition:
        return TopicPartition(topic.name, partition_of(scope, found.count(topic.name)))

    whole = [*(place(topic, cluster) for topic in _WHOLE), place(FLEET_INCIDENTS, FLEET_SCOPE)]
    recent = [place(topic, cluster) for topic in (*_RECENT, *((OBJECTS,) if git else ()))]
    recent += [where for topic in _OF_THE_FLEET if (where := place(topic, FLEET_SCOPE)) not in recent]
    async with consumer(kafka, **_PATIENT) as client:
        client.assign([*whole, *recent])
        ends = await client.end_offsets([*whole, *recent])
        starts = await client.offsets_for_times(dict.fromkeys(recent, since_ms))
        reader = StoryReader(client, Story(cluster), ends)
        for each in whole:
            client.seek(each, 0)
        for each, start in starts.items():
            offset = start.offset if start else ends[each]
            if each.topic == OBJECTS.name and offset < ends[each] - MOST_FRAMES:
                offset, reader.is_cut = ends[each] - MOST_FRAMES, True
            client.seek(each, offset)
        yield reader


def _told(record: ConsumerRecord) -> Told | None:
    event: dict[str, Any] | None = decoded(record.value) if record.topic != OBJECTS.name else None
    return Told(event, record.timestamp) if event and isinstance(event.get("data"), dict) else None

"""Frames and inventories through a real Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import NewTopic
from aiokafka.structs import TopicPartition

from abdrift import frames
from abdrift import kafka as clients
from abdrift.cloudevents import CloudEvent
from abdrift.facts.base import ClusterRef, Evidence, rfc3339
from abdrift.facts.inventory import ClusterInventory, GitSource
from abdrift.signals import objects
from abdrift.signals.objects import ObjectRow
from abdrift.topics import INVENTORY
from collectors.delivery import Reconnecting, kafka_send
from collectors.framing import Framer, FramerSettings, UnsendableError
from collectors.git.followed import inventories
from tests.parts.waiting import WITHIN_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiokafka import AIOKafkaProducer

    from abdrift.broker import EmbeddedBroker
    from collectors.lanes import Headers, Send

pytestmark = pytest.mark.parts

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def settings(kafka: EmbeddedBroker) -> clients.KafkaSettings:
    return clients.KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)


async def new_topic(settings: clients.KafkaSettings, partitions: int, **config: str) -> str:
    name = f"test-{secrets.token_hex(4)}"
    async with clients.admin(settings) as admin:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=config)])
    return name


def aside(send: Send, topic: str) -> Send:
    """Send to a test's own topic, whatever the framer names."""

    async def sent(_: str, partition: int, key: bytes, value: bytes, headers: Headers) -> None:
        await send(topic, partition, key, value, headers)

    return sent


def row(number: int) -> ObjectRow:
    return ObjectRow(cluster="edge", op="modified", name=str(number), observed_ms=number)


async def read(settings: clients.KafkaSettings, topic: str, rows: int) -> list[frames.Frame]:
    """Read frames until there are so many rows."""
    found: list[frames.Frame] = []
    async with clients.consumer(settings, topic) as consumer, asyncio.timeout(WITHIN_SECONDS):
        while sum(frame.rows for frame in found) < rows:
            record = await consumer.getone()
            found.append(frames.decode(record.value, record.headers))
    return found


async def test_frames_arrive_once_and_in_order_though_the_broker_restarts(
    kafka: EmbeddedBroker, settings: clients.KafkaSettings
) -> None:
    topic = await new_topic(settings, 4)
    async with clients.producer(settings, request_timeout_ms=5_000) as producer:
        send = aside(kafka_send(producer), topic)
        async with Framer("kubernetes/edge", 1, send, FramerSettings(partitions=4, max_rows=10)) as out:
            for number in range(50):
                await out.put(row(number), urgent=True)
            await out.flush()
            await kafka.astop()
            for number in range(50, 100):
                await out.put(row(number), urgent=True)
            await kafka.astart()
            async with asyncio.timeout(WITHIN_SECONDS):
                await out.flush()
            assert not out.dropped
    found = await read(settings, topic, 100)
    assert [each.name for frame in found for each in objects.rows_of(frame.batch)] == [str(n) for n in range(100)]
    assert [frame.parts[0].sequence for frame in found] == list(range(len(found)))


async def test_what_the_broker_will_never_take_is_unsendable(settings: clients.KafkaSettings) -> None:
    topic = await new_topic(settings, 1, **{"max.message.bytes": "1000"})
    async with clients.producer(settings) as producer:
        with pytest.raises(UnsendableError):
            await kafka_send(producer)(topic, 0, b"key", b"x" * 5_000, ())


async def test_a_producer_whose_sequence_has_a_hole_is_replaced(settings: clients.KafkaSettings) -> None:
    topic, made = await new_topic(settings, 1), []

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[AIOKafkaProducer]:
        async with clients.producer(settings) as producer:
            made.append(producer)
            yield producer

    async with Reconnecting(connect) as reached:
        framing = FramerSettings(partitions=1)
        async with Framer("kubernetes/edge", 1, aside(reached.send, topic), framing) as out:
            await out.deliver([row(0)])
            # As aiokafka does with a batch that it gives up since its partition has no leader.
            made[0]._txn_manager.increment_sequence_number(TopicPartition(topic, 0), 1)
            async with asyncio.timeout(WITHIN_SECONDS):
                await out.deliver([row(1)])
            await out.deliver([row(2)])
    assert len(made) == 2
    assert [frame.parts[0].sequence for frame in await read(settings, topic, 3)] == [0, 1, 2]


async def test_inventories_are_read_from_the_beginning_and_for_good(settings: clients.KafkaSettings) -> None:
    topic = await new_topic(settings, 3)
    inventory = ClusterInventory(
        cluster=ClusterRef(name="edge-1"),
        git_sources=(GitSource(url="https://git.example/fleet.git", ref="refs/heads/main"),),
        first_seen=NOW,
        last_seen=NOW,
        evidence=Evidence(complete=True),
    )
    event = CloudEvent(
        id="1",
        source="/test",
        type=INVENTORY.name,
        subject="edge-1",
        time=rfc3339(NOW),
        data=inventory.model_dump(mode="json", exclude_none=True),
    )
    async with clients.producer(settings) as producer, clients.consumer(settings) as consumer:
        await producer.send_and_wait(topic, event.encode(), key=b"edge-1", partition=2)
        await producer.send_and_wait(topic, b"no event", key=b"edge-2", partition=2)
        reading = inventories(consumer, 3, topic=topic)
        async with asyncio.timeout(WITHIN_SECONDS):
            assert await anext(reading) == ("edge-1", inventory)
            await producer.send_and_wait(topic, None, key=b"edge-1", partition=2)
            assert await anext(reading) == ("edge-1", None)
            await reading.aclose()

"""Topics of a test's own on the shared broker: those of the contract hold what other tests wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.admin import NewTopic

from abdrift.kafka import admin, layout
from tests.parts.waiting import until

if TYPE_CHECKING:
    from abdrift.kafka import KafkaSettings
    from abdrift.topics import Topic


async def create(settings: KafkaSettings, *topics: Topic, partitions: int = 1) -> None:
    """Create topics; return once clients can see them."""
    async with admin(settings) as client:
        await client.create_topics(
            [
                NewTopic(topic.name, num_partitions=partitions, replication_factor=1, topic_configs=topic.config())
                for topic in topics
            ]
        )
    names = {topic.name for topic in topics}

    async def seen() -> bool:
        return names <= (await layout(settings)).partitions.keys()

    await until(seen, "the topics are there")


async def drop(settings: KafkaSettings, topic: Topic) -> None:
    """Delete a topic; return once clients see it no more."""
    async with admin(settings) as client:
        await client.delete_topics([topic.name])

    async def gone() -> bool:
        return topic.name not in (await layout(settings)).partitions

    await until(gone, "the topic is gone")

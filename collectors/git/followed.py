"""Inventories of the fleet's clusters as they stand in Kafka: what the Git collector follows."""

import logging
from collections.abc import AsyncGenerator

from aiokafka import TopicPartition
from pydantic import ValidationError

from abdrift.cloudevents import CloudEvent
from abdrift.facts.inventory import ClusterInventory
from abdrift.kafka import KafkaSettings, consumer, partition_count
from abdrift.topics import FLEET_INVENTORY, INVENTORY
from collectors import telemetry

log = logging.getLogger(__name__)


async def inventories(
    settings: KafkaSettings, *, topic: str = FLEET_INVENTORY.name
) -> AsyncGenerator[tuple[str, ClusterInventory | None], None]:
    """Yield cluster and inventory for each record of the compacted topic, from its beginning and for good.

    None stands for a cluster that is gone. A record that is no inventory is counted and left out.

    Raises:
        abdrift.kafka.KafkaUnreachableError: no broker lets this client in.
        abdrift.kafka.TopicMissingError: there is no such topic.

    """
    count = await partition_count(settings, topic)
    async with consumer(settings) as records:
        records.assign([TopicPartition(topic, number) for number in range(count)])
        async for record in records:
            if record.value is None:
                yield (record.key or b"").decode(errors="replace"), None
                continue
            try:
                event = CloudEvent.decode(record.value)
                if event.type == INVENTORY.name:
                    yield event.subject, ClusterInventory.model_validate(event.data)
            except ValidationError as error:
                telemetry.DROPPED.labels("git", "bad-inventory").inc()
                log.warning("git: %s/%d@%d is no inventory: %s", topic, record.partition, record.offset, error)

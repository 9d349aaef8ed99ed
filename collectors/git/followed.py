"""Inventories of the fleet's clusters as they stand in Kafka: what the Git collector follows."""

import logging
from collections.abc import AsyncGenerator

from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import ValidationError

from abdrift.cloudevents import CloudEvent
from abdrift.facts.inventory import ClusterInventory
from abdrift.topics import FLEET_INVENTORY, INVENTORY
from collectors import telemetry

log = logging.getLogger(__name__)


async def inventories(
    consumer: AIOKafkaConsumer, partitions: int, *, topic: str = FLEET_INVENTORY.name
) -> AsyncGenerator[tuple[str, ClusterInventory | None], None]:
    """Yield cluster and inventory for each record of the compacted topic, from its beginning and for good.

    None stands for a cluster that is gone. The consumer is started and belongs to no group; it is assigned to the
    topic's `partitions` here. A record that is no inventory is counted and left out.
    """
    assigned = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(assigned)
    await consumer.seek_to_beginning(*assigned)
    async for record in consumer:
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

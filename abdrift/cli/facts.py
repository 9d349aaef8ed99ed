"""Reads fleet topics for views: from now on or from the beginning, without a group, until cancelled."""

from collections.abc import AsyncIterator

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from abdrift.cloudevents import CloudEvent
from abdrift.kafka import KafkaSettings, consumer
from abdrift.topics import EVENTS, FLEET_REDUCED, OBJECTS, TOPICS, Format

# A view may be a moment late; without this the broker answers for every tick, dozens of times a second.
_PATIENT = {"fetch_min_bytes": 1 << 20, "fetch_max_wait_ms": 200}
FACTS = tuple(topic.name for topic in TOPICS if topic.format is Format.CLOUDEVENT and topic is not FLEET_REDUCED)
SIGNALS = (OBJECTS.name, EVENTS.name)


async def follow(kafka: KafkaSettings) -> AsyncIterator[tuple[CloudEvent, int]]:
    """Yield every fact of the fleet topics, from the beginning on, with when Kafka took it (ms since the epoch).

    What is no fact is passed over.
    """
    async with consumer(kafka, *FACTS, **_PATIENT) as client:
        async for record in client:
            event = _event(record)
            if event is not None:
                yield event, record.timestamp


def _event(record: ConsumerRecord) -> CloudEvent | None:
    try:
        return CloudEvent.decode(record.value) if record.value else None
    except ValidationError:
        return None


async def rows(kafka: KafkaSettings) -> AsyncIterator[int]:
    """Yield the number of rows of each signal frame, from the beginning on."""
    async with consumer(kafka, *SIGNALS, **_PATIENT) as client:
        async for record in client:
            counted = dict(record.headers).get("abdrift-rows")
            if counted:
                yield int(counted)

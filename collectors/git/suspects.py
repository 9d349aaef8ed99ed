"""Remotes whose newest commit fails in several clusters, and nobody knows yet whose it is."""

import logging
from collections.abc import AsyncGenerator

from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import ValidationError

from abdrift.cloudevents import CloudEvent
from abdrift.facts.incidents import CauseKind, Incident, IncidentState
from abdrift.topics import FLEET_INCIDENTS
from collectors import telemetry

log = logging.getLogger(__name__)


async def suspects(
    consumer: AIOKafkaConsumer, partitions: int, *, topic: str = FLEET_INCIDENTS.name
) -> AsyncGenerator[str, None]:
    """Yield the URL of each open incident's repository as long as the incident names no author, and for good.

    The consumer is started and belongs to no group; it is assigned to the topic's `partitions` here. A record that is
    no incident is counted and left out.
    """
    assigned = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(assigned)
    await consumer.seek_to_beginning(*assigned)
    async for record in consumer:
        if record.value is None:
            continue
        try:
            incident = Incident.model_validate(CloudEvent.decode(record.value).data)
        except ValidationError as error:
            telemetry.DROPPED.labels("git", "bad-incident").inc()
            log.warning("git: %s/%d@%d is no incident: %s", topic, record.partition, record.offset, error)
            continue
        if url := wanted_of(incident):
            yield url


def wanted_of(incident: Incident) -> str | None:
    """Return the URL of the repository that is to be asked who made the revision; None where that is known."""
    cause = incident.cause
    if incident.state is not IncidentState.OPEN or cause.kind is not CauseKind.GIT_REVISION:
        return None
    return None if cause.commit and cause.commit.author else cause.source

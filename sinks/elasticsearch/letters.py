"""Publishes letters about what could not be written."""

import asyncio
import logging
import random
from collections.abc import Iterable
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from abdrift.clock import ClockMs
from abdrift.cloudevents import HEADERS
from abdrift.letters import Letter
from abdrift.partitions import partition_of
from abdrift.topics import DEAD_LETTERS
from sinks.elasticsearch import telemetry

log = logging.getLogger(__name__)

_REFUSED_BY: Final = "sinks.elasticsearch"
_RETRY_SECONDS: Final = 2.0


class Letters:
    """Sends letters until Kafka has them."""

    def __init__(self, producer: AIOKafkaProducer, partitions: int, clock: ClockMs) -> None:
        """`partitions` is the topic's number of them."""
        self._producer = producer
        self._partitions = partitions
        self._clock = clock

    async def publish(self, letters: Iterable[Letter]) -> None:
        """Return once Kafka has acknowledged all of them; one that it will never take is logged and counted."""
        for letter in letters:
            await self._publish(letter)

    async def _publish(self, letter: Letter) -> None:
        value = letter.event(_REFUSED_BY, self._clock()).encode()
        reason = letter.reason
        log.warning(
            "dead letter: %s/%s@%s: %s: %s", letter.topic, letter.partition, letter.offset, reason, letter.message
        )
        while True:
            try:
                await self._producer.send_and_wait(
                    DEAD_LETTERS.name,
                    value,
                    letter.topic.encode(),
                    partition_of(letter.topic, self._partitions),
                    headers=list(HEADERS),
                )
            except MessageSizeTooLargeError:
                log.exception("Kafka refuses a dead letter")
                reason = "lost"
            except KafkaError as error:
                log.warning("a dead letter waits for Kafka: %s", error)
                await asyncio.sleep(_RETRY_SECONDS * random.uniform(0.5, 1))  # noqa: S311  jitter
                continue
            telemetry.DEAD_LETTERS.labels(reason).inc()
            return

"""What a collector could not read, kept with the reason: letters to `abdrift.dead-letters.v1`."""

import asyncio
import logging
import random
from collections.abc import Iterable
from typing import Final

from abdrift.clock import ClockMs
from abdrift.cloudevents import HEADERS
from abdrift.letters import Letter
from abdrift.partitions import partition_of
from abdrift.topics import DEAD_LETTERS
from collectors import telemetry
from collectors.lanes import Send, UnsendableError

log = logging.getLogger(__name__)

_RETRY_INITIAL_SECONDS: Final = 0.1
_RETRY_MAX_SECONDS: Final = 5.0


class DeadLetters:
    """Publishes a collector's letters."""

    def __init__(self, send: Send, partitions: int, refused_by: str, clock: ClockMs) -> None:
        """`partitions` is the topic's number of them; `refused_by` names the collector, e.g. `collectors.logs`."""
        self._send = send
        self._partitions = partitions
        self._refused_by = refused_by
        self._clock = clock

    async def publish(self, letters: Iterable[Letter]) -> None:
        """Return once Kafka has acknowledged all of them; until it does, they are sent again and again.

        One that Kafka will never take is logged and counted as lost.
        """
        async with asyncio.TaskGroup() as group:
            for letter in letters:
                group.create_task(self._publish(letter))

    async def _publish(self, letter: Letter) -> None:
        event = letter.event(self._refused_by, self._clock())
        delay_seconds = _RETRY_INITIAL_SECONDS
        while True:
            try:
                await self._send(
                    DEAD_LETTERS.name,
                    partition_of(letter.topic, self._partitions),
                    letter.topic.encode(),
                    event.encode(),
                    HEADERS,
                )
            except UnsendableError as error:
                telemetry.DEAD_LETTERS.labels(self._refused_by, "lost").inc()
                log.error("%s: Kafka refuses a dead letter: %s", self._refused_by, error)  # noqa: TRY400  no news in it
                return
            except Exception as error:  # noqa: BLE001  whatever the client raises: counted, and tried again
                telemetry.SEND_ERRORS.labels(self._refused_by, type(error).__name__).inc()
                await asyncio.sleep(delay_seconds * random.uniform(0.5, 1))  # noqa: S311  jitter
                delay_seconds = min(2 * delay_seconds, _RETRY_MAX_SECONDS)
            else:
                telemetry.DEAD_LETTERS.labels(self._refused_by, letter.reason).inc()
                return

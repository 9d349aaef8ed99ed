"""What a collector could not read, kept with the reason: letters to `abdrift.dead-letters.v1`."""

import asyncio
import hashlib
import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from abdrift.clock import ClockMs, to_datetime
from abdrift.cloudevents import CONTENT_TYPE, CloudEvent
from abdrift.facts.base import rfc3339
from abdrift.facts.dead_letter import DeadLetter, as_kept
from abdrift.partitions import partition_of
from abdrift.topics import DEAD_LETTER, DEAD_LETTERS
from collectors import telemetry
from collectors.lanes import Send, UnsendableError

log = logging.getLogger(__name__)

MAX_KEPT_BYTES: Final = 512 * 1024
"""Of what could not be read. In base64 it fits a record as brokers take it by default."""

_RETRY_INITIAL_SECONDS: Final = 0.1
_RETRY_MAX_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Letter:
    """One thing that could not be read."""

    topic: str
    """Where it came from: a topic, or a receiver, e.g. `logs/receiver-0`."""
    reason: str
    """A stable kebab-case word; it is counted, so it comes from a fixed set."""
    message: str
    value: bytes = b""
    key: bytes | None = None
    partition: int | None = None
    offset: int | None = None


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
        event = self._event(letter)
        delay_seconds = _RETRY_INITIAL_SECONDS
        while True:
            try:
                await self._send(
                    DEAD_LETTERS.name,
                    partition_of(letter.topic, self._partitions),
                    letter.topic.encode(),
                    event.encode(),
                    (("content-type", CONTENT_TYPE),),
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

    def _event(self, letter: Letter) -> CloudEvent:
        at = to_datetime(self._clock())
        cut = len(letter.value) - MAX_KEPT_BYTES
        data = DeadLetter(
            topic=letter.topic,
            partition=letter.partition,
            offset=letter.offset,
            reason=letter.reason,
            message=letter.message + (f" (its last {cut} bytes are not kept)" if cut > 0 else ""),
            refused_by=self._refused_by,
            refused_at=at,
            key_base64=as_kept(letter.key, MAX_KEPT_BYTES),
            value_base64=as_kept(letter.value, MAX_KEPT_BYTES),
        )
        return DEAD_LETTER.event(
            letter.topic,
            data,
            event_id=_identity(self._refused_by, letter, rfc3339(at)),
            source=f"/abdrift/{self._refused_by.replace('.', '/')}",
            at=at,
        )


def _identity(refused_by: str, letter: Letter, at: str) -> str:
    """Return the letter's id: of a record, the same whenever it is read again; else of this moment and these bytes."""
    place = f"{letter.partition}\n{letter.offset}" if letter.offset is not None else at
    text = f"{DEAD_LETTER.name}/{refused_by}\n{letter.topic}\n{place}\n{letter.reason}\n"
    return hashlib.sha256(text.encode() + letter.value).hexdigest()[:32]

"""Reads the fleet's topics into a view, and keeps whether the view is all that they say."""

import logging
from collections.abc import Callable
from typing import Final

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from abdrift import fleetstate
from abdrift.clock import ClockMs
from abdrift.kafka import KafkaSettings
from abdrift.latest import Change, Latest, Reader, opened
from abdrift.topics import DEAD_LETTERS
from sinks.prometheus import telemetry
from sinks.prometheus.view import View

log = logging.getLogger(__name__)

TOPICS: Final = (*fleetstate.TOPICS, *fleetstate.RECENT, DEAD_LETTERS)
_RECENT_MS: Final = 86_400_000
"""A command that is older has ended."""
_CHECK_MS: Final = 1_000
_EXPIRED_MS: Final = 600_000
"""So long after its expiry a command without an outcome is forgotten."""
_KNOWN: Final = b""
_COMPACTED: Final = frozenset(topic.name for topic in fleetstate.TOPICS)


class Following(Latest):
    """Where each topic was read to, and of each compacted key that it is known: its value lives on in the view."""

    def __init__(self, view: View) -> None:
        super().__init__(wanted=fleetstate.wanted)
        self._view = view
        self.taken = 0
        """Records that were read."""

    def take(self, record: ConsumerRecord) -> Change | None:
        """Take a record into the view."""
        self.taken += 1
        change = super().take(record)
        if change is None:
            return None
        if change.topic not in _COMPACTED:
            self.values.pop(change.topic, None)
        elif change.value is not None:
            self.values[change.topic][change.key] = _KNOWN
        try:
            self._view.absorb(change)
        except fleetstate.UnreadableError as error:
            telemetry.REFUSED.labels(change.topic, error.reason).inc()
            log.warning("%s: %s in %s@%d: %s", error.reason, change.key, change.topic, record.offset, error)
        else:
            telemetry.RECORDS.labels(change.topic).inc()
            telemetry.NEWEST.labels(change.topic).set(change.append_ms / 1000)
        return change


class Freshness:
    """Whether what is known may be told: it was all that the topics say, not longer ago than a bound."""

    def __init__(self, stale_ms: int, clock: ClockMs) -> None:
        self._stale_ms = stale_ms
        self._clock = clock
        self._checked_ms: int | None = None
        self._asked_ms = 0
        self._due: int | None = None
        """How many records are read once all is that there was when it was asked last."""

    def read(self, taken: int, behind: int) -> None:
        """Note how many records were read until now, and how many the topics hold beyond them."""
        telemetry.BEHIND.set(behind)
        now_ms = self._clock()
        if not behind:
            self._checked_ms = now_ms
        elif self._due is not None and taken >= self._due:
            # More came meanwhile, as it always does in a large fleet: it was all that there was then.
            self._checked_ms = self._asked_ms
        self._asked_ms, self._due = now_ms, taken + behind
        if self._checked_ms is not None:
            telemetry.CHECKED.set(self._checked_ms / 1000)

    def doubt(self) -> str | None:
        """Return why nothing may be told of the fleet; None where it may."""
        if self._checked_ms is None:
            return "the topics are still being read"
        age_ms = self._clock() - self._checked_ms
        return f"all was read last {age_ms / 1000:.0f} s ago" if age_ms > self._stale_ms else None


async def follow(
    kafka: KafkaSettings, view: View, freshness: Freshness, clock: ClockMs, on_caught_up: Callable[[], None]
) -> None:
    """Keep the view as the topics are, until cancelled.

    Raises:
        KafkaUnreachableError: no broker lets this client in.
        TopicMissingError: a topic does not exist.

    """
    began_ms = clock()
    recent = fleetstate.since(began_ms - _RECENT_MS)

    def since(topic: str, partition: int, partitions: int) -> int:
        return began_ms if topic == DEAD_LETTERS.name else recent(topic, partition, partitions)

    following = Following(view)
    async with opened(kafka, TOPICS, following, since=since) as reader:
        async for left in reader.catch_up():
            freshness.read(following.taken, left)
        on_caught_up()
        checked_ms = clock()
        async for _ in reader.changes():
            if clock() - checked_ms >= _CHECK_MS:
                checked_ms = clock()
                await _check(reader, following, freshness)
                view.fleet.forget_commands(checked_ms - _EXPIRED_MS)


async def _check(reader: Reader, following: Following, freshness: Freshness) -> None:
    try:
        behind = await reader.behind()
        freshness.read(following.taken, behind)
    except KafkaError as error:
        telemetry.KAFKA_ERRORS.labels(type(error).__name__).inc()
        log.warning("no broker answers: %s", error)

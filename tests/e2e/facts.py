"""Follows the fleet topics of a running pipeline, and waits for what they say."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from abdrift.cloudevents import CloudEvent
from abdrift.kafka import consumer
from abdrift.topics import COMMAND, DECISION, FINDING, FLEET_REDUCED, OUTCOME, TOPICS, VERDICT, Format

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from abdrift.kafka import KafkaSettings

TOPIC_NAMES = tuple(topic.name for topic in TOPICS if topic.format is Format.CLOUDEVENT and topic is not FLEET_REDUCED)
WITHIN_SECONDS = 180.0
SHOWN = 40


@dataclass(frozen=True, slots=True)
class Fact:
    """One record of a fleet topic that holds a fact, with when the broker appended it."""

    topic: str
    partition: int
    offset: int
    append_ms: int
    type: str
    subject: str
    data: Mapping[str, Any]

    def __str__(self) -> str:
        said = ("kind", "state", "verdict", "result", "verb", "revision", "message", "closed_because", "reasons")
        shown: dict[str, Any] = {name: self.data[name] for name in said if name in self.data}
        if fields := self.data.get("fields"):
            shown["fields"] = [
                {name: f.get(name) for name in ("path", "op", "old", "new", "old_known")} for f in fields
            ]
        return f"{self.append_ms % 10_000_000} {self.type.split('.')[-2]} {self.subject[:24]} {shown}"

    @property
    def finding_ids(self) -> tuple[str, ...]:
        """The findings that a decision, command or outcome is about."""
        return tuple(self.data.get("finding_ids", ()))

    def names(self, text: str) -> bool:
        """Whether a text, such as a namespace, occurs anywhere in the fact."""
        return text in str(self.data)


class FactLog:
    """Every fact since the beginning, in the order read; `async with followed(kafka) as log`."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.unreadable: list[tuple[str, bytes]] = []
        self._grown = asyncio.Condition()

    async def follow(self, kafka: KafkaSettings) -> None:
        """Read until cancelled; a broker that is away for a while is waited for."""
        async with consumer(kafka, *TOPIC_NAMES, retry_backoff_ms=50) as client:
            async for record in client:
                if record.value is None:
                    continue
                try:
                    event = CloudEvent.decode(record.value)
                except ValidationError:
                    self.unreadable.append((record.topic, record.value))
                    continue
                place = (record.topic, record.partition, record.offset, record.timestamp)
                self.facts.append(Fact(*place, event.type, event.subject, event.data))
                async with self._grown:
                    self._grown.notify_all()

    @property
    def mark(self) -> int:
        """A place in the log: what is read later comes after it."""
        return len(self.facts)

    def of_type(self, fact_type: str, since: int = 0) -> Iterator[Fact]:
        """Yield the facts of one type read since a mark."""
        return (fact for fact in self.facts[since:] if fact.type == fact_type)

    def findings(self, namespace: str, since: int = 0) -> list[Fact]:
        """Return every revision of every finding about objects of a namespace."""
        return [f for f in self.of_type(FINDING.name, since) if f.data["object"].get("namespace") == namespace]

    def newest(self, fact_type: str, subject: str) -> Fact | None:
        """Return the newest fact of a subject."""
        return next((f for f in reversed(self.facts) if (f.type, f.subject) == (fact_type, subject)), None)

    async def until(
        self, check: Callable[[Fact], bool], what: str, *, since: int = 0, within_seconds: float = WITHIN_SECONDS
    ) -> Fact:
        """Return the first fact since a mark that passes the check.

        Raises `AssertionError`, naming what was awaited, when it has not come in time.
        """
        deadline = time.monotonic() + within_seconds
        seen = since
        while True:
            while seen < len(self.facts):
                if check(self.facts[seen]):
                    return self.facts[seen]
                seen += 1
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"not within {within_seconds:g} s: {what}")
            async with self._grown:
                if seen == len(self.facts):
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._grown.wait(), left)

    def about(self, text: str) -> str:
        """Return the newest facts that name a text, one a line, for a failed wait's message."""
        kinds = {FINDING.name, VERDICT.name, DECISION.name, COMMAND.name, OUTCOME.name}
        chosen = [f for f in self.facts if f.type in kinds and f.names(text)]
        ids = {i for f in chosen for i in (*f.finding_ids, f.subject)}
        related = [f for f in self.facts if f.type in kinds and (f.names(text) or ids & {*f.finding_ids, f.subject})]
        return "\n".join(str(fact) for fact in related[-SHOWN:])


@asynccontextmanager
async def followed(kafka: KafkaSettings) -> AsyncIterator[FactLog]:
    """Follow the topics meanwhile."""
    log = FactLog()
    task = asyncio.create_task(log.follow(kafka), name="fact-log")
    try:
        yield log
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

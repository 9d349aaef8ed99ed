"""Keeps the book as the compacted topic has it."""

import logging
from collections.abc import Callable, Iterable

from pydantic import ValidationError

from abdrift.facts.incidents import Incident
from abdrift.kafka import KafkaSettings
from abdrift.latest import Change, Latest, opened
from abdrift.topics import FLEET_INCIDENTS
from sinks.alertmanager import telemetry
from sinks.alertmanager.book import Book

log = logging.getLogger(__name__)


async def follow(kafka: KafkaSettings, book: Book, caught_up: Callable[[], None]) -> None:
    """Take all incidents in, say so, and follow them until cancelled.

    Raises:
        abdrift.kafka.KafkaUnreachableError: no broker lets this client in.
        abdrift.kafka.TopicMissingError: the topic does not exist.

    """
    latest = Latest()
    async with opened(kafka, [FLEET_INCIDENTS], latest) as reader:
        async for _ in reader.catch_up():
            pass
        known = latest.values.get(FLEET_INCIDENTS.name, {})
        take(book, (Change(FLEET_INCIDENTS.name, key, value, 0) for key, value in known.items()))
        caught_up()
        async for changes in reader.changes():
            take(book, changes)


def take(book: Book, changes: Iterable[Change]) -> None:
    """Take changes into the book; what is no incident is counted and passed over."""
    for change in changes:
        event = change.event()
        if event is None and change.value is None:
            book.drop(change.key)
            continue
        try:
            book.put(Incident.model_validate((event or {}).get("data")))
        except ValidationError as error:
            telemetry.REFUSED.inc()
            log.warning("%s: no incident: %s", change.key, error.errors()[0]["msg"])
    telemetry.OPEN.set(book.firing)

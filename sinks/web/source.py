"""What the page knows, from Kafka: all there is at the start, and then what changes; again after every trouble."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from typing import Any, Final, Literal

from aiokafka.errors import KafkaError

from abdrift import fleetstate
from abdrift.clock import ClockMs, wall_clock_ms
from abdrift.fleetstate import RECENT, TOPICS
from abdrift.kafka import KafkaSettings, KafkaUnreachableError, TopicMissingError, layout
from abdrift.latest import Change, opened
from sinks.web import telemetry
from sinks.web.archive import Archive
from sinks.web.model import Model, Reading
from sinks.web.panel import panel

log = logging.getLogger(__name__)

_PROBE_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 5.0
_AT_A_TIME: Final = 500
_HOUR_MS: Final = 3_600_000
_TROUBLE: Final = (KafkaError, KafkaUnreachableError, TopicMissingError, OSError)


class Source:
    """Keeps a model as Kafka tells it."""

    def __init__(
        self, kafka: KafkaSettings, model: Model, history_hours: float, *, clock: ClockMs = wall_clock_ms
    ) -> None:
        self._kafka = kafka
        self._model = model
        self._clock = clock
        self._history_ms = round(history_hours * _HOUR_MS)
        self._archive = Archive()

    async def run(self) -> None:
        """Read until cancelled. What goes wrong after the start is told of on the page, and all is read anew.

        Raises:
            KafkaUnreachableError: at the start no broker lets this client in.
            TopicMissingError: at the start a topic does not exist.

        """
        found = await layout(self._kafka)
        for topic in (*TOPICS, *RECENT):
            found.count(topic.name)
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._probe())
                    await self._follow()
            except* _TROUBLE as errors:
                log.warning("reading again in %g s: %s", _AGAIN_SECONDS, errors.exceptions[0])
                self._enter("lost")
            await asyncio.sleep(_AGAIN_SECONDS)

    def panel(self, cluster: str) -> dict[str, Any] | None:
        """Return what a cluster's panel shows; None where no such cluster is known."""
        if cluster not in self._model.fleet.clusters:
            return None
        return panel(cluster, self._archive.facts(cluster))

    async def _follow(self) -> None:
        since = fleetstate.since(self._clock() - self._history_ms)
        # Read anew beside what is shown, which stays until this is whole.
        model, archive = Model(secrets.token_hex(8)), Archive()
        async with opened(self._kafka, (*TOPICS, *RECENT), archive.latest, since=since) as reader:
            async for left in reader.catch_up():
                if self._model.reading.phase != "lost":
                    self._enter("reading", left, reader.total)
            for topic in (*TOPICS, *RECENT):
                await _take(model, archive, tuple(archive.latest.changes(topic)))
            self._model.become(model)
            self._archive = archive
            self._enter("live")
            async for changes in reader.changes():
                await _take(self._model, archive, changes)

    def _enter(self, phase: Literal["reading", "live", "lost"], left: int = 0, total: int = 0) -> None:
        before = self._model.reading
        since_ms = before.since_ms if before.phase == phase else self._clock()
        after = Reading(phase, left, total, since_ms)
        if after != before:
            self._model.reading = after
            self._model.told()

    async def _probe(self) -> None:
        """Ask Kafka now and then: a consumer whose brokers are gone only falls silent."""
        while True:
            await asyncio.sleep(_PROBE_SECONDS)
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    await layout(self._kafka)
            except (*_TROUBLE, TimeoutError) as error:
                log.warning("Kafka does not answer: %r", error)
                self._enter("lost")
            else:
                if self._model.reading.phase == "lost":
                    self._enter("live")


async def _take(model: Model, archive: Archive, changes: Sequence[Change]) -> None:
    """Take changes in, and let others have a turn now and then."""
    for number, change in enumerate(changes, 1):
        telemetry.CHANGES.labels(change.topic).inc()
        model.take(change, archive.take(change))
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)
    for topic, key in archive.trim():
        model.overtaken(topic, key)

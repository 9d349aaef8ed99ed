"""Sends the same series by remote write: a snapshot at a time, each over before the next."""

import asyncio
import logging
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
from prometheus_client import CollectorRegistry

from abdrift import __version__
from abdrift.clock import ClockMs
from abdrift.urls import masked
from sinks.prometheus import telemetry, write

log = logging.getLogger(__name__)

_MOST_SAMPLES: Final = 2_000
"""Of a request; Prometheus itself sends as many."""
_BACKOFF_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
_REFUSED_FROM, _FAILED_FROM, _TOO_MANY = 400, 500, 429
_MOST_SAID: Final = 300


class RefusedError(RuntimeError):
    """The receiver will not have a request, however often it is sent."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where series are sent."""

    url: str
    interval_seconds: float = 30.0
    token_file: Path | None = None
    """Holds a bearer token; read for each snapshot, so that it can be renewed."""
    trusted: ssl.SSLContext | bool = True
    """Whom to trust; True for the system's authorities."""
    labels: Mapping[str, str] = field(default_factory=lambda: {"job": "abdrift"})
    """Of every series, where it has none of that name."""

    def headers(self) -> dict[str, str]:
        """Return the headers of a request.

        Raises:
            OSError: the token's file can't be read.

        """
        token = {"Authorization": f"Bearer {self.token_file.read_text().strip()}"} if self.token_file else {}
        return {**write.HEADERS, "User-Agent": f"abdrift/{__version__}", **token}


async def send(target: Target, registries: Iterable[CollectorRegistry], clock: ClockMs) -> None:
    """Send a snapshot of the registries at each interval, until cancelled."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=target.trusted)) as session:
        writer = RemoteWriter(target, registries, session, clock)
        while True:
            began = time.monotonic()
            await writer.send()
            await asyncio.sleep(max(0.0, began + target.interval_seconds - time.monotonic()))


class RemoteWriter:
    """Sends snapshots. What a snapshot no longer has is told to have ended."""

    def __init__(
        self,
        target: Target,
        registries: Iterable[CollectorRegistry],
        session: aiohttp.ClientSession,
        clock: ClockMs,
    ) -> None:
        """Take where to send, what, and by which session."""
        self._target = target
        self._registries = tuple(registries)
        self._session = session
        self._clock = clock
        self._named = masked(target.url)
        self._told: set[write.Series] = set()

    async def send(self) -> None:
        """Send what is known now; what is not taken within an interval is dropped, for newer values come then."""
        values = write.series((m for r in self._registries for m in r.collect()), self._target.labels)
        ended = dict.fromkeys(self._told - values.keys(), write.STALE)
        waiting = list(write.requests({**values, **ended}, self._clock(), _MOST_SAMPLES))
        # An end that is dropped is not told again: without samples a series is over in five minutes anyway.
        self._told = set(values)
        try:
            async with asyncio.timeout(self._target.interval_seconds):
                with telemetry.WRITE_SECONDS.time():
                    while waiting:
                        await self._deliver(waiting[0])
                        waiting.pop(0)
        except TimeoutError:
            dropped = sum(request.samples for request in waiting)
            telemetry.WRITTEN.labels("dropped").inc(dropped)
            log.warning("%s did not take all in time: %d samples dropped", self._named, dropped)

    async def _deliver(self, request: write.Request) -> None:
        """Return once a request is taken or refused; it is sent again while it fails."""
        attempt = 0
        while True:
            try:
                await self._post(request)
            except RefusedError as error:
                telemetry.WRITTEN.labels("refused").inc(request.samples)
                log.warning("%s refuses %d samples: %s", self._named, request.samples, error)
                return
            except (aiohttp.ClientError, OSError) as error:
                telemetry.WRITE_ERRORS.labels(type(error).__name__).inc()
                log.warning("%s does not take samples, which are sent again: %s", self._named, masked(repr(error)))
                await asyncio.sleep(_BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)])
                attempt += 1
            else:
                telemetry.WRITTEN.labels("sent").inc(request.samples)
                return

    async def _post(self, request: write.Request) -> None:
        headers = await asyncio.to_thread(self._target.headers)
        async with self._session.post(self._target.url, data=request.body, headers=headers) as answer:
            if answer.status == _TOO_MANY or answer.status >= _FAILED_FROM:
                answer.raise_for_status()
            if answer.status >= _REFUSED_FROM:
                raise RefusedError(f"{answer.status} {(await answer.text())[:_MOST_SAID].strip()}")

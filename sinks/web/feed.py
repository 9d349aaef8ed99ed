"""Wakes those who are told of changes, and encodes what they are told once for all who know the same."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import orjson

from abdrift.clock import ClockMs
from sinks.web import telemetry
from sinks.web.model import Model

KEEPALIVE_SECONDS: Final = 5.0
"""So often at least a browser hears something, and so knows that it is still told."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What changed since some version up to this one, as JSON without a line break."""

    epoch: str
    version: int
    json: bytes

    @property
    def newest(self) -> tuple[str, int]:
        """Up to what it tells."""
        return self.epoch, self.version

    @property
    def event(self) -> bytes:
        """The batch as a server-sent event; its id is what a browser names when it comes back."""
        return b"retry: 1000\nid: %s-%d\ndata: %s\n\n" % (self.epoch.encode(), self.version, self.json)


class Feed:
    """Tells any number of listeners what changed. Nothing is kept for any of them but the version they know."""

    def __init__(self, model: Model, batch_seconds: float, clock: ClockMs) -> None:
        self._model = model
        self._batch_seconds = batch_seconds
        self._clock = clock
        self._news = asyncio.Event()
        self._told = model.epoch, model.version
        self._encoded: dict[tuple[str, int], Batch] = {}
        """Of the newest version, by what the listener knows."""

    async def run(self) -> None:
        """Look for changes, and wake the listeners."""
        while True:
            await asyncio.sleep(self._batch_seconds)
            newest = self._model.epoch, self._model.version
            if newest != self._told:
                self._told = newest
                self._news.set()
                self._news = asyncio.Event()

    def batch(self, epoch: str = "", version: int = 0) -> Batch:
        """Return what changed since a version of an epoch; everything without them."""
        known = epoch, version
        found = self._encoded.get(known)
        newest = self._model.epoch, self._model.version
        if found is None or found.newest != newest:
            with telemetry.ENCODE_SECONDS.time():
                told = self._model.since(epoch, version, self._clock())
                found = Batch(*newest, orjson.dumps(told))
            stale = [key for key, batch in self._encoded.items() if batch.newest != newest]
            for key in stale:
                del self._encoded[key]
            self._encoded[known] = found
        return found

    async def follow(self, epoch: str, version: int) -> AsyncIterator[Batch]:
        """Yield what changed since a version, and then what changes, in batches; now and then an empty one."""
        while True:
            news = self._news
            batch = self.batch(epoch, version)
            yield batch
            epoch, version = batch.epoch, batch.version
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KEEPALIVE_SECONDS):
                    await news.wait()

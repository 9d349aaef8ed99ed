"""One list-watch kept alive: what it saw goes to a handler, and how well it could see.

The first list tells everything. After that a broken watch goes on from its resourceVersion, which loses nothing; only
where the server has forgotten that version (410) or was out of reach for long is there a new list, and a gap.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Protocol

from abdrift.clock import ClockMs
from collectors import telemetry
from collectors.kubernetes.api import JSON, Api, ApiRefusedError, UnreachableError
from collectors.kubernetes.backoff import Backoff
from collectors.kubernetes.config import KubernetesConfig
from collectors.kubernetes.projection import Object

log = logging.getLogger(__name__)

_TOO_SHORT_MS = 1_000


@dataclass(frozen=True, slots=True)
class Sync:
    """A finished list."""

    began_ms: int
    gap_since_ms: int | None
    """The last moment at which the view before was sure; None for the first list."""
    gap_reason: str | None


class Handler(Protocol):
    """Takes what one list-watch says, in order."""

    def list_begins(self) -> None:
        """Begin a list from its first page; one that broke off before counts for nothing."""

    async def listed(self, obj: Object) -> None:
        """Take one object of the list."""

    async def list_ends(self, sync: Sync) -> None:
        """End the list: what it did not name is not shown any more."""

    async def changed(self, obj: Object) -> None:
        """Take an object that the watch says was added or modified."""

    async def removed(self, obj: Object) -> None:
        """Take an object that the watch says is gone, or left the selector."""

    async def lost(self, reason: str, message: str, since_ms: int) -> None:
        """Note that nothing can be seen since then. Said once; the next `list_ends` ends it."""


class State(StrEnum):
    """How a reflector fares."""

    LISTING = "listing"
    OPEN = "open"
    BROKEN = "broken"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Target:
    """What a reflector lists and watches."""

    path: str
    query: Mapping[str, str]
    accept: str = JSON


class Reflector:
    """Runs one list-watch until cancelled."""

    def __init__(
        self, api: Api, target: Target, handler: Handler, config: KubernetesConfig, clock: ClockMs, backoff: Backoff
    ) -> None:
        self.state = State.LISTING
        self.broken_since_ms: int | None = None
        self._api = api
        self._target = target
        self._handler = handler
        self._config = config
        self._clock = clock
        self._backoff = backoff
        self._version = ""
        """Where the watch goes on; empty when a list is due."""
        self._sure_ms: int | None = None
        """When the view was last known to be whole; None before the first list."""
        self._gap_reason: str | None = None
        self._lost_reason: str | None = None
        self._fruitless = False
        """No watch has said anything since the last list."""

    async def run(self) -> None:
        """List and watch for good."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except ApiRefusedError as error:
                await self._refused(error)
            except UnreachableError as error:
                await self._unreachable(error)

    async def _list(self) -> None:
        began_ms = self._clock()
        if self._sure_ms is not None:
            telemetry.RELISTS.labels(self._config.source, self._gap_reason or "unknown").inc()
        self._handler.list_begins()
        version = ""
        async for page in self._api.pages(self._target.path, self._target.query, self._target.accept):
            version = str((page.get("metadata") or {}).get("resourceVersion") or "")
            for obj in page.get("items") or ():
                await self._guarded(self._handler.listed, obj)
        if not version:
            raise UnreachableError("the list has no resourceVersion")
        gap_since_ms, reason = (None, None) if self._sure_ms is None else (self._sure_ms, self._gap_reason or "unknown")
        await self._handler.list_ends(Sync(began_ms, gap_since_ms, reason))
        self._version = version
        self._sure_ms = began_ms
        self._gap_reason = self._lost_reason = None
        self._fruitless = True
        self._opened()

    async def _watch(self) -> None:
        query = {
            **self._target.query,
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(self._config.watch_seconds),
        }
        opened_ms = self._clock()
        async with self._api.watch(self._target.path, query, self._target.accept) as events:
            self._opened()
            async for event in events:
                await self._event(event)
                self._fruitless = False
                self._backoff.reset()
        telemetry.WATCH_RESTARTS.labels(self._config.source, "ended").inc()
        if self._clock() - opened_ms < _TOO_SHORT_MS:
            # A server that ends each watch at once must not be asked in a tight loop.
            await asyncio.sleep(self._backoff.seconds())

    async def _event(self, event: Mapping[str, Any]) -> None:
        kind, obj = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            raise refusal_of(obj)
        if kind in ("ADDED", "MODIFIED"):
            await self._guarded(self._handler.changed, obj)
        elif kind == "DELETED":
            await self._guarded(self._handler.removed, obj)
        if version := (obj.get("metadata") or {}).get("resourceVersion"):
            self._version = str(version)
        self._sure_ms = self._clock()
        self._gap_reason = None

    async def _guarded(self, take: Any, obj: Object) -> None:
        """Hand an object on; one that is malformed is counted, and those around it go on."""
        try:
            await take(obj)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            telemetry.DROPPED.labels(self._config.source, "malformed").inc()
            log.warning("%s: an object of %s is malformed: %r", self._config.source, self._target.path, error)

    def _opened(self) -> None:
        self.state = State.OPEN
        self.broken_since_ms = None

    async def _refused(self, error: ApiRefusedError) -> None:
        if error.status == HTTPStatus.GONE:
            self._version = ""
            self._gap_reason = self._gap_reason or "watch-expired"
            if self.state is State.LISTING or self._fruitless:
                # The list itself grew too old, or its version is denied at once: not faster than the server can.
                await asyncio.sleep(self._backoff.seconds())
            self.state = State.LISTING
            return
        if error.status == HTTPStatus.FORBIDDEN and self.state is State.BROKEN:
            # A server that has just come back knows no roles yet.
            await self._broken(str(error), error.retry_after_seconds)
            return
        if error.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            await self._lost("forbidden" if error.status == HTTPStatus.FORBIDDEN else "not-found", str(error))
            self._version = ""
            self._gap_reason = self._lost_reason
            await asyncio.sleep(self._backoff.seconds(at_least=self._config.refused_retry_seconds))
            return
        await self._broken(str(error), error.retry_after_seconds)

    async def _unreachable(self, error: UnreachableError) -> None:
        await self._broken(str(error), None)

    async def _broken(self, message: str, at_least_seconds: float | None) -> None:
        now_ms = self._clock()
        if self.broken_since_ms is None:
            self.broken_since_ms = now_ms
            telemetry.WATCH_RESTARTS.labels(self._config.source, "broken").inc()
        if self.state is not State.LOST:
            self.state = State.BROKEN
        if self._version:
            # Should the version turn out to be forgotten when the server is back, this is why.
            self._gap_reason = "api-unreachable"
        if now_ms - self.broken_since_ms >= 1000 * self._config.lost_after_seconds:
            await self._lost("unreachable", message)
            self._version = ""
            self._gap_reason = "api-unreachable"
        await asyncio.sleep(self._backoff.seconds(at_least_seconds))

    async def _lost(self, reason: str, message: str) -> None:
        self.state = State.LOST
        if self._lost_reason != reason:
            self._lost_reason = reason
            since_ms = self._sure_ms if self._sure_ms is not None else self._clock()
            await self._handler.lost(reason, message, since_ms)


def refusal_of(status: Mapping[str, Any]) -> ApiRefusedError:
    """Return the error that a Status object within a watch explains."""
    return ApiRefusedError(
        int(status.get("code") or HTTPStatus.INTERNAL_SERVER_ERROR),
        str(status.get("reason") or ""),
        str(status.get("message") or ""),
    )

"""A management cluster, from which a hub learns of others: a list-watch of one kind into a set of objects."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from abdrift.clock import ClockMs, wall_clock_ms
from collectors.kubernetes.api import JSON, Api
from collectors.kubernetes.backoff import Backoff
from collectors.kubernetes.config import KubernetesConfig
from collectors.kubernetes.projection import Object
from collectors.kubernetes.reflector import Reflector, Sync, Target

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name."""


class Mirror:
    """What a list-watch shows, told to whoever asked: a `Handler` for a reflector.

    While the management cluster is out of reach nothing is told to be gone: its clusters live without it.
    """

    def __init__(self, put: Callable[[Key, Object], None], remove: Callable[[Key], None]) -> None:
        self._put = put
        self._remove = remove
        self._shown: set[Key] = set()
        self._unseen: set[Key] = set()

    def list_begins(self) -> None:
        """Expect all that was shown before."""
        self._unseen = set(self._shown)

    async def listed(self, obj: Object) -> None:
        """Take an object of a list."""
        self._unseen.discard(await self._take(obj))

    async def list_ends(self, sync: Sync) -> None:  # noqa: ARG002  the protocol's
        """Let go of what the list does not name any more."""
        for key in self._unseen:
            self._forget(key)
        self._unseen = set()

    async def changed(self, obj: Object) -> None:
        """Take an object of the watch."""
        await self._take(obj)

    async def removed(self, obj: Object) -> None:
        """Let go of an object."""
        self._forget(_key(obj))

    async def lost(self, reason: str, message: str, since_ms: int) -> None:  # noqa: ARG002  the protocol's
        """Say that the management cluster shows nothing now."""
        log.warning("the management cluster does not show its clusters (%s): %s", reason, message)

    async def _take(self, obj: Object) -> Key:
        key = _key(obj)
        self._shown.add(key)
        self._put(key, obj)
        return key

    def _forget(self, key: Key) -> None:
        self._shown.discard(key)
        self._remove(key)


class Management:
    """Reads of a management cluster, for the sources that follow it. Use as an async context manager."""

    def __init__(self, config: KubernetesConfig, *, clock: ClockMs = wall_clock_ms) -> None:
        self.config = config
        self.api = Api(config)
        self._clock = clock

    async def __aenter__(self) -> Self:
        """Raise KubeConfigError where the credentials are unusable."""
        await self.api.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.api.__aexit__(kind, error, trace)

    async def follow(self, path: str, query: Mapping[str, str], mirror: Mirror) -> None:
        """Keep a mirror as a kind is, until cancelled."""
        backoff = Backoff(
            self.config.retry_initial_seconds,
            self.config.retry_max_seconds,
            random.Random(),  # noqa: S311  jitter
        )
        await Reflector(self.api, Target(path, query, JSON), mirror, self.config, self._clock, backoff).run()

    async def follow_all(self, paths: list[str], query: Mapping[str, str], mirrors: Callable[[], Mirror]) -> None:
        """Keep a mirror for each path, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for path in paths:
                group.create_task(self.follow(path, query, mirrors()))


def _key(obj: Object) -> Key:
    metadata = obj["metadata"]
    return str(metadata["namespace"]), str(metadata["name"])

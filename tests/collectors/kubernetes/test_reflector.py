"""How a list-watch treats a server that makes little sense."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from collectors.kubernetes.api import ApiRefusedError
from collectors.kubernetes.backoff import Backoff
from collectors.kubernetes.config import KubernetesConfig
from collectors.kubernetes.reflector import Reflector, Target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LISTS = 6


class Forgetful:
    """Lists well, and has forgotten a version as soon as it has told it."""

    def __init__(self) -> None:
        self.lists = 0
        self.enough = asyncio.Event()

    async def pages(self, *_: Any) -> AsyncIterator[dict[str, Any]]:
        self.lists += 1
        if self.lists == LISTS:
            self.enough.set()
        yield {"metadata": {"resourceVersion": "7"}, "items": []}

    @asynccontextmanager
    async def watch(self, *_: Any) -> AsyncIterator[None]:
        raise ApiRefusedError(410, "Expired", "too old resource version")
        yield


class Silent:
    """A handler to which nothing is said."""

    def list_begins(self) -> None:
        return

    async def list_ends(self, _: Any) -> None:
        return


class Counted(Backoff):
    """Waits for nothing, and counts how often it was asked to wait."""

    waits = 0

    def seconds(self, _: float | None = None) -> float:
        self.waits += 1
        return 0


async def test_a_version_that_is_forgotten_at_once_is_not_asked_for_in_a_tight_loop() -> None:
    api, backoff = Forgetful(), Counted(0.1, 1, random.Random(1))
    config = KubernetesConfig(cluster="edge")
    reflector = Reflector(api, Target("/api/v1/pods", {}), Silent(), config, lambda: 0, backoff)
    running = asyncio.create_task(reflector.run())
    async with asyncio.timeout(10):
        await api.enough.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert backoff.waits >= LISTS - 1

"""How a list-watch treats a server that makes little sense."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from collectors.kubernetes.api import ApiRefusedError, UnreachableError
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

    def seconds(self, at_least: float | None = None) -> float:  # noqa: ARG002  the base's
        self.waits += 1
        return 0


async def test_a_version_that_is_forgotten_at_once_is_not_asked_for_in_a_tight_loop() -> None:
    api, backoff = Forgetful(), Counted(0.1, 1, random.Random(1))
    config = KubernetesConfig(cluster="edge")
    reflector = Reflector(api, Target("/api/v1/pods", {}), Silent(), config, lambda: 0, backoff)
    running = asyncio.create_task(reflector.run())
    async with asyncio.timeout(60):
        await api.enough.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert backoff.waits >= LISTS - 1


class Refusing:
    """Lists at any time; its watches end by one error after another, then one stays open."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.lists = 0
        self.open = asyncio.Event()

    async def pages(self, *_: Any) -> AsyncIterator[dict[str, Any]]:
        self.lists += 1
        yield {"metadata": {"resourceVersion": "7"}, "items": []}

    @asynccontextmanager
    async def watch(self, *_: Any) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        if self.errors:
            raise self.errors.pop(0)
        yield self._bookmarks()

    async def _bookmarks(self) -> AsyncIterator[dict[str, Any]]:
        yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "8"}}}
        self.open.set()
        await asyncio.Event().wait()


class Told(Silent):
    """A handler that keeps why nothing could be seen."""

    def __init__(self) -> None:
        self.lost_for: list[str] = []

    async def lost(self, reason: str, _: str, __: int) -> None:
        self.lost_for.append(reason)


FORBIDDEN = ApiRefusedError(403, "Forbidden", "pods is forbidden")
AWAY = UnreachableError("connection refused")


@pytest.mark.parametrize(
    ("errors", "told", "lists"),
    [
        pytest.param((FORBIDDEN,), ["forbidden"], 2, id="rights-were-taken"),
        pytest.param((AWAY, FORBIDDEN, FORBIDDEN), [], 1, id="a-server-that-came-back-knows-no-roles-yet"),
        pytest.param((AWAY, AWAY), [], 1, id="away-for-a-moment"),
    ],
)
async def test_a_refusal_counts_unless_the_server_has_just_come_back(
    errors: tuple[Exception, ...], told: list[str], lists: int
) -> None:
    api, handler = Refusing(*errors), Told()
    config = KubernetesConfig(cluster="edge")
    backoff = Counted(0.1, 1, random.Random(1))
    running = asyncio.create_task(Reflector(api, Target("/", {}), handler, config, lambda: 0, backoff).run())
    async with asyncio.timeout(60):
        await api.open.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert (handler.lost_for, api.lists) == (told, lists)

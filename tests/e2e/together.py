"""Tests side by side: what is marked `together` runs with its like, and is told under its own name all the same.

Most of such a test is waiting, for Flux, for Kafka, for a clock. So the first of a backend's tests begins them all, a
few at a time, each as a task on the one event loop of the run; each test of pytest's own order then waits for its own
task. A test so marked touches nothing but its own application, and asks for nothing but `stack` and parameters. All
others of that backend wait until these are done, and have the pipeline to themselves.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.e2e.stack import Stack

MARK = "together"
AT_ONCE = 6
"""More would make two cores the bottleneck, and each test's own times longer."""


class Together:
    """The tests of one backend that run side by side."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Callable[..., Awaitable[None]], dict[str, Any]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.seconds: dict[str, float] = {}
        """How long each took by itself, by its node id."""

    def add(self, item: pytest.Function) -> None:
        """Have a test wait for its task, and the others for none."""
        test = item.obj
        wanted = set(inspect.signature(test).parameters) - {"stack"}
        given = {name: item.callspec.params[name] for name in wanted}
        self._waiting[item.nodeid] = (test, given)

        async def told(stack: Stack, **_: Any) -> None:
            self._begin(stack)
            await self._tasks[item.nodeid]

        item.obj = told

    def keep_apart(self, item: pytest.Function) -> None:
        """Have a test wait until all of these are done."""
        test = item.obj

        async def alone(**given: Any) -> None:
            await asyncio.wait([*self._tasks.values(), asyncio.create_task(asyncio.sleep(0))])
            await test(**given)

        item.obj = alone

    async def cancel(self) -> None:
        """End what nobody waits for any more."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _begin(self, stack: Stack) -> None:
        if self._tasks:
            return
        room = asyncio.Semaphore(AT_ONCE)

        async def one(node_id: str, test: Callable[..., Awaitable[None]], given: dict[str, Any]) -> None:
            async with room:
                begun = time.monotonic()
                try:
                    await test(stack=stack, **given)
                finally:
                    self.seconds[node_id] = time.monotonic() - begun

        self._tasks = {
            node_id: asyncio.create_task(one(node_id, *what), name=node_id) for node_id, what in self._waiting.items()
        }


def arrange(items: list[pytest.Item]) -> dict[str, Together]:
    """Order the tests by backend, those that run side by side before its others, and return these by backend."""
    groups: dict[str, Together] = {}
    chosen: dict[int, pytest.Function] = {
        place: item
        for place, item in enumerate(items)
        if isinstance(item, pytest.Function) and "stack" in item.fixturenames
    }
    backends = list(dict.fromkeys(_backend(item) for item in chosen.values()))
    ordered = sorted(chosen.values(), key=lambda item: (backends.index(_backend(item)), not _is_together(item)))
    for place, item in zip(chosen, ordered, strict=True):
        items[place] = item
        group = groups.setdefault(_backend(item), Together())
        (group.add if _is_together(item) else group.keep_apart)(item)
    return groups


def _backend(item: pytest.Function) -> str:
    return str(item.callspec.params["backend"])


def _is_together(item: pytest.Item) -> bool:
    return item.get_closest_marker(MARK) is not None

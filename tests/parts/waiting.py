"""Waiting for what a real system does in its own time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

WITHIN_SECONDS = 120.0
"""Several times what anything takes that is waited for, on a machine that does much else."""
POLL_SECONDS = 0.05


async def until(check: Callable[[], Awaitable[T | None]], what: str, within_seconds: float = WITHIN_SECONDS) -> T:
    """Call `check` until it returns something true, and return that.

    Raises `AssertionError`, naming `what` was awaited and the last answer, after `within_seconds`.
    """
    deadline = time.monotonic() + within_seconds
    while not (answer := await check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_seconds:g} s: {what} (last answer: {answer!r})")
        await asyncio.sleep(POLL_SECONDS)
    return answer

"""Room for what is under way, and refusals put together."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from abdrift.letters import MAX_KEPT_BYTES
from collectors.logs.events import Refused
from collectors.logs.intake import Room, bundled


async def test_who_finds_no_room_waits_for_others_to_be_done() -> None:
    room, order, may_end = Room(10), list[str](), asyncio.Event()

    async def work(name: str, size_bytes: int, until: asyncio.Event | None = None) -> None:
        async with room.taken(size_bytes):
            order.append(name)
            if until:
                await until.wait()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(work("first", 8, may_end))
        await asyncio.sleep(0)
        waiting = group.create_task(work("larger than what is left", 3))
        group.create_task(work("small", 2))
        for _ in range(5):
            await asyncio.sleep(0)
        assert order == ["first", "small"]
        assert not waiting.done()
        may_end.set()
    assert order == ["first", "small", "larger than what is left"]


async def test_what_is_larger_than_the_room_takes_all_of_it() -> None:
    room = Room(10)
    async with asyncio.timeout(60):
        for _ in range(2):
            async with room.taken(1_000):
                pass


async def test_room_is_free_again_after_a_failure_and_a_cancelled_wait() -> None:
    room = Room(10)

    async def fail() -> None:
        async with room.taken(10):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.001), room.taken(1):
                    pass
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with asyncio.timeout(60), room.taken(10):
        pass


@pytest.mark.parametrize(
    ("refused", "bundles"),
    [
        pytest.param([], [], id="none"),
        pytest.param([("a", b"1")], [("a", "why", b"1")], id="one"),
        pytest.param(
            [("a", b"1"), ("b", b"2"), ("a", b"3")],
            [("a", "why (2 events)", b"1\n3"), ("b", "why", b"2")],
            id="by-reason",
        ),
        pytest.param(
            [("a", b"x" * (MAX_KEPT_BYTES - 10)), ("a", b"y" * 10), ("a", b"z")],
            [("a", "why", b"x" * (MAX_KEPT_BYTES - 10)), ("a", "why (2 events)", b"y" * 10 + b"\nz")],
            id="as-far-as-they-are-kept-whole",
        ),
    ],
)
def test_refusals_of_one_reason_are_put_together(
    refused: list[tuple[str, bytes]], bundles: list[tuple[str, str, bytes]]
) -> None:
    found = bundled(Refused(reason, "why", value) for reason, value in refused)
    assert [(each.reason, each.message, each.value) for each in found] == bundles

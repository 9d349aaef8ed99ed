from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from abdrift import topics
from abdrift.clock import wall_clock_ms
from collectors.lanes import UnsendableError
from collectors.spool import DailyBudget, Spool, SpoolFullError, SpoolingSend, SpoolSettings
from collectors.spool import sending as spool_sending
from collectors.spool.segments import SpooledFrame
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from abdrift.clock import ClockMs
    from collectors.lanes import Headers

STATE, FIREHOSE = topics.OBJECTS.name, topics.EVENTS.name
ROWS = (("abdrift-rows", b"5"),)


class Kafka:
    """A `Send` that can be away, or refuse single frames for good."""

    def __init__(self) -> None:
        self.away = False
        self.refuses: set[bytes] = set()
        self.got: list[tuple[str, int, int]] = []

    async def __call__(self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers) -> None:
        assert (key, headers) == (b"lane", ROWS)
        if self.away:
            raise ConnectionError("nobody there")
        if value in self.refuses:
            raise UnsendableError("too large")
        self.got.append((topic, partition, int(value.split(b"|")[0])))

    def numbers(self, topic: str = STATE, partition: int = 0) -> list[int]:
        return [number for where, which, number in self.got if (where, which) == (topic, partition)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_sending, "_RETRY_SECONDS", (0.005, 0.02))


def value(number: int, size_bytes: int = 10) -> bytes:
    return b"%d|" % number + bytes(size_bytes)


@asynccontextmanager
async def spooling(
    folder: Path,
    kafka: Kafka,
    max_bytes: int = 100_000,
    budget: DailyBudget | None = None,
    clock: ClockMs = wall_clock_ms,
) -> AsyncIterator[SpoolingSend]:
    settings = SpoolSettings(max_bytes=max_bytes, segment_bytes=1_000)
    spool, rng = Spool(folder, settings), random.Random(1)
    send = SpoolingSend("test", kafka, spool, budget=budget, patience_seconds=1, clock=clock, rng=rng)
    runner = asyncio.create_task(send.run())
    try:
        yield send
    finally:
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)


async def say(send: SpoolingSend, number: int, topic: str = STATE, partition: int = 0, size_bytes: int = 10) -> None:
    await send(topic, partition, b"lane", value(number, size_bytes), ROWS)


async def emptied(send: SpoolingSend) -> None:
    async def empty() -> bool:
        return not send.waiting_bytes

    await until(empty, "the disk is empty")


async def test_frames_go_straight_while_kafka_is_there(tmp_path: Path) -> None:
    kafka = Kafka()
    async with spooling(tmp_path, kafka) as send:
        for number in range(5):
            await say(send, number)
            assert not send.waiting_bytes
    assert kafka.numbers() == list(range(5))


async def test_what_comes_while_kafka_is_away_is_sent_later_and_in_order(tmp_path: Path) -> None:
    kafka = Kafka()
    async with spooling(tmp_path, kafka) as send:
        for number in range(200):
            kafka.away = 20 <= number < 150
            await say(send, number, partition=number % 3, topic=(STATE, FIREHOSE)[number % 2])
        kafka.away = False
        await emptied(send)
    for topic in range(2):
        for partition in range(3):
            mine = [n for n in range(200) if n % 2 == topic and n % 3 == partition]
            assert kafka.numbers((STATE, FIREHOSE)[topic], partition) == mine
    assert not send.dropped


async def test_it_says_how_much_waits_and_for_how_long(tmp_path: Path) -> None:
    kafka, now_ms = Kafka(), 1_000_000
    async with spooling(tmp_path, kafka, clock=lambda: now_ms) as send:
        await say(send, 0)
        assert send.spooled() == (0, 0)
        kafka.away = True
        await say(send, 1)
        now_ms += 60_000
        await say(send, 2)

        async def told() -> bool:
            return send.spooled() == (send.waiting_bytes, 60_000)

        await until(told, "the first has waited for a minute")
        kafka.away = False
        await emptied(send)
        assert send.spooled() == (0, 0)


async def test_a_restart_sends_what_the_run_before_it_kept(tmp_path: Path) -> None:
    kafka = Kafka()
    kafka.away = True
    async with spooling(tmp_path, kafka) as send:
        for number in range(10):
            await say(send, number)
    kafka.away = False
    async with spooling(tmp_path, kafka) as send:
        await say(send, 10)
        await emptied(send)
    assert kafka.numbers() == list(range(11))


async def test_the_firehose_makes_room_and_is_counted(tmp_path: Path) -> None:
    kafka = Kafka()
    kafka.away = True
    async with spooling(tmp_path, kafka, max_bytes=20_000) as send:
        for number in range(100):
            await say(send, number, FIREHOSE, size_bytes=500)
            await say(send, number, STATE, size_bytes=50)
        assert send.waiting_bytes <= 20_000
        kafka.away = False
        await emptied(send)
    assert kafka.numbers(STATE) == list(range(100))
    left = kafka.numbers(FIREHOSE)
    assert left == list(range(100 - len(left), 100))
    assert send.dropped == {"spool-full": 5 * (100 - len(left))}


async def test_who_brings_what_may_not_be_lost_waits_for_room(tmp_path: Path) -> None:
    kafka = Kafka()
    kafka.away = True
    async with spooling(tmp_path, kafka, max_bytes=4_000) as send:

        async def bring() -> None:
            for number in range(30):
                await say(send, number, size_bytes=500)

        bringing = asyncio.create_task(bring())
        await asyncio.sleep(0.2)
        assert not bringing.done()
        kafka.away = False
        await bringing
        await emptied(send)
    assert kafka.numbers() == list(range(30))
    assert not send.dropped


async def test_what_kafka_never_takes_is_told_or_counted_and_the_others_go_on(tmp_path: Path) -> None:
    kafka = Kafka()
    kafka.refuses = {value(1), value(3)}
    async with spooling(tmp_path, kafka) as send:
        await say(send, 0)
        with pytest.raises(UnsendableError):
            await say(send, 1)
        kafka.away = True
        for number in (2, 3, 4):
            await say(send, number)
        kafka.away = False
        await emptied(send)
    assert kafka.numbers() == [0, 2, 4]
    assert send.dropped == {"refused": 5}


def test_a_frame_that_no_spool_can_hold_is_refused_or_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SpoolSettings(max_bytes=2_000))
    with pytest.raises(SpoolFullError, match="at most 2000"):
        spool.append(SpooledFrame(STATE, 0, b"", bytes(3_000), ROWS))
    spool.append(SpooledFrame(FIREHOSE, 0, b"", bytes(3_000), ROWS))
    assert spool.dropped == {"spool-full": 5}
    assert spool.waiting_bytes() == 0


DAY_MS = 86_400_000


async def test_what_a_day_allows_no_more_waits_for_the_next_state_before_the_firehose(tmp_path: Path) -> None:
    kafka, now = Kafka(), [5 * DAY_MS]
    budget = DailyBudget(10_000, tmp_path / "budget", lambda: now[0])
    async with spooling(tmp_path, kafka, budget=budget) as send:
        for number in range(20):
            await say(send, number, FIREHOSE, size_bytes=400)
            await say(send, number, STATE, size_bytes=400)
        assert len(kafka.numbers(FIREHOSE)) < len(kafka.numbers(STATE)) < 20
        assert budget.spent_bytes == pytest.approx(10_000, abs=1_100)
        while len(kafka.got) < 40:
            now[0] += DAY_MS
            before = len(kafka.got)

            async def sent(before: int = before) -> bool:
                return len(kafka.got) > before

            await until(sent, "the next day's share is sent")
        await emptied(send)
    assert kafka.numbers(FIREHOSE) == kafka.numbers(STATE) == list(range(20))
    assert not send.dropped


@pytest.mark.parametrize(
    ("stored", "days_later", "spent"),
    [("5 9000", 0, 9_000), ("5 9000", 1, 0), ("", 0, 0), ("x y", 0, 0), ("5", 0, 0)],
)
def test_a_budget_is_remembered_for_its_day(tmp_path: Path, stored: str, days_later: int, spent: int) -> None:
    (tmp_path / "budget").write_text(stored)
    assert DailyBudget(10_000, tmp_path / "budget", lambda: (5 + days_later) * DAY_MS).spent_bytes == spent

"""What a lane does with records that leave some out, and with those that do not come: nothing is lost on the way."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from abdrift.topics import FLEET_POLICY, OBJECTS
from streams import lane as lanes
from streams.decode import Record
from streams.lane import Lane, Pace, Pending, Shared
from streams.telemetry import Metrics

TOPIC, COMPACTED = OBJECTS.name, FLEET_POLICY.name


class FakeLink:
    """Kafka as far as the tested paths ask it: which record is the next, and where the input ends."""

    def __init__(self, first: int, end: int = 0) -> None:
        self.first, self.ending = first, end
        self.sought: list[tuple[str, int]] = []

    async def next_offset(self, _topic: str, _partition: int, start: int) -> int:
        return max(start, self.first)

    def seek(self, topic: str, _partition: int, offset: int) -> None:
        self.sought.append((topic, offset))

    def end(self, topic: str, _partition: int) -> int:
        return self.ending if topic == TOPIC else 0


def lane_on(link: FakeLink) -> tuple[Lane, Metrics]:
    metrics = Metrics(CollectorRegistry())
    step = SimpleNamespace(name="s", reads=(OBJECTS, FLEET_POLICY))
    shared = SimpleNamespace(
        running=step, step="s", metrics=metrics, link=link, tick_topic=None, buffer_bytes=1 << 20, limits=None
    )
    return Lane(0, cast("Shared", shared), {TOPIC: 0, COMPACTED: 0}, {}), metrics


def offered(lane: Lane, topic: str, *offsets: int) -> None:
    for offset in offsets:
        record = Record(topic, 0, offset, 1, b"k", b"v")
        lane.offer(Pending(record, lambda: None))


def taken(lane: Lane) -> list[int]:
    return [pending.record.offset for pending in cast("Any", lane)._queue]


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def skipped(metrics: Metrics, reason: str) -> float:
    return cast("float", metrics.skipped.labels("s", reason)._value.get())


PACES = [
    pytest.param([], 10_000, id="at-first-one-frame"),
    pytest.param([(10_000, 0.1)], 50_000, id="quick-and-full-half-a-turn's"),
    pytest.param([(10_000, 0.001)], 160_000, id="very-quick-sixteen-times"),
    pytest.param([(500, 0.1)], 10_000, id="quick-and-not-full-says-nothing"),
    pytest.param([(10_000, 0.9)], 10_000, id="about-a-turn-stays"),
    pytest.param([(10_000, 2.0)], 5_000, id="two-turns-half-as-many"),
    pytest.param([(1, 30.0)], 1, id="never-less-than-one"),
]


@pytest.mark.parametrize(("batches", "rows"), PACES)
def test_a_lane_takes_what_its_step_works_off_in_a_turn(batches: list[tuple[int, float]], rows: int) -> None:
    pace = Pace()
    for taken_rows, seconds in batches:
        pace.learn(taken_rows, seconds)
    assert pace.rows == rows


async def test_what_was_lost_on_the_way_is_asked_for_however_often_the_later_record_comes() -> None:
    lane, metrics = lane_on(link := FakeLink(first=0))
    offered(lane, TOPIC, 5, 5, 6)
    await settled()
    offered(lane, TOPIC, 5)
    await settled()
    assert taken(lane) == []
    assert set(link.sought) == {(TOPIC, 0)}
    offered(lane, TOPIC, *range(7))
    assert taken(lane) == list(range(7))
    assert skipped(metrics, "missing") == 0


async def test_what_kafka_no_longer_has_is_counted_and_passed_over() -> None:
    lane, metrics = lane_on(link := FakeLink(first=5))
    offered(lane, TOPIC, 5)
    await settled()
    assert link.sought == [(TOPIC, 5)]
    offered(lane, TOPIC, 5, 6)
    assert taken(lane) == [5, 6]
    assert skipped(metrics, "missing") == 5


async def test_holes_of_a_compacted_topic_are_doubted_only_before_its_first_record() -> None:
    lane, metrics = lane_on(link := FakeLink(first=3))
    offered(lane, COMPACTED, 4)
    await settled()
    assert link.sought == [(COMPACTED, 3)]
    offered(lane, COMPACTED, 3, 9)
    assert taken(lane) == [3, 9]
    assert skipped(metrics, "missing") == 0


async def test_a_record_that_does_not_come_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(lanes.time, "monotonic", lambda: now[0])
    lane, metrics = lane_on(link := FakeLink(first=0, end=3))
    for _ in range(3):
        cast("Any", lane)._ask_again_if_stuck()
        now[0] += 4
    assert link.sought == [(TOPIC, 0)]
    assert skipped(metrics, "asked-again") == 1
    offered(lane, TOPIC, 0, 1, 2)
    now[0] += 60
    cast("Any", lane)._ask_again_if_stuck()
    assert link.sought == [(TOPIC, 0)]

"""What an inbox does with records that leave some out, and with those that do not come: nothing is lost on the way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from abdrift.kafka import KafkaSettings
from abdrift.topics import FLEET_POLICY, OBJECTS
from streams import inbox
from streams.decode import Record
from streams.inbox import Inbox, Pace, Pending
from streams.settings import EngineSettings, Surroundings
from streams.shared import Shared
from streams.telemetry import Metrics

TOPIC, COMPACTED = OBJECTS.name, FLEET_POLICY.name


class FakeLink:
    """Kafka as far as the tested paths ask it: which record is the next, and where the input ends."""

    def __init__(self, first: int, end: int = 0) -> None:
        self.first, self.ending = first, end
        self.sought: list[tuple[str, int]] = []
        self.paused: list[str] = []

    async def next_offset(self, _topic: str, _partition: int, start: int) -> int:
        return max(start, self.first)

    def seek(self, topic: str, _partition: int, offset: int) -> None:
        self.sought.append((topic, offset))

    def pause(self, topic: str, _partition: int) -> None:
        self.paused.append(topic)

    def end(self, topic: str, _partition: int) -> int:
        return self.ending if topic == TOPIC else 0


def inbox_on(link: FakeLink, lanes: int = 1) -> tuple[Inbox, Metrics]:
    metrics = Metrics(CollectorRegistry())
    step = SimpleNamespace(name="s", reads=(OBJECTS, FLEET_POLICY))
    shared = Shared(
        running=cast("Any", step),
        encode=cast("Any", None),
        counts={},
        settings=EngineSettings(KafkaSettings(), Path("unused")),
        around=Surroundings(),
        metrics=metrics,
        link=cast("Any", link),
        state=cast("Any", None),
        worker="w",
        lanes=lambda: lanes,
        partitions=1,
        tick_topic=None,
        turn=asyncio.Lock(),
    )
    return Inbox(0, shared, {TOPIC: 0, COMPACTED: 0}), metrics


def offered(box: Inbox, topic: str, *offsets: int) -> None:
    for offset in offsets:
        record = Record(topic, 0, offset, 1, b"k", b"v")
        box.offer(Pending(record, lambda: None))


def taken(box: Inbox) -> list[int]:
    return [pending.record.offset for pending in box.waiting]


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
    box, metrics = inbox_on(link := FakeLink(first=0))
    offered(box, TOPIC, 5, 5, 6)
    await settled()
    offered(box, TOPIC, 5)
    await settled()
    assert taken(box) == []
    assert set(link.sought) == {(TOPIC, 0)}
    offered(box, TOPIC, *range(7))
    assert taken(box) == list(range(7))
    assert skipped(metrics, "missing") == 0


async def test_what_kafka_no_longer_has_is_counted_and_passed_over() -> None:
    box, metrics = inbox_on(link := FakeLink(first=5))
    offered(box, TOPIC, 5)
    await settled()
    assert link.sought == [(TOPIC, 5)]
    offered(box, TOPIC, 5, 6)
    assert taken(box) == [5, 6]
    assert skipped(metrics, "missing") == 5


async def test_holes_of_a_compacted_topic_are_doubted_only_before_its_first_record() -> None:
    box, metrics = inbox_on(link := FakeLink(first=3))
    offered(box, COMPACTED, 4)
    await settled()
    assert link.sought == [(COMPACTED, 3)]
    offered(box, COMPACTED, 3, 9)
    assert taken(box) == [3, 9]
    assert skipped(metrics, "missing") == 0


async def test_a_record_that_does_not_come_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(inbox.time, "monotonic", lambda: now[0])
    box, metrics = inbox_on(link := FakeLink(first=0, end=3))
    for _ in range(3):
        box.ask_again_if_stuck()
        now[0] += 4
    assert link.sought == [(TOPIC, 0)]
    assert skipped(metrics, "asked-again") == 1
    offered(box, TOPIC, 0, 1, 2)
    now[0] += 60
    box.ask_again_if_stuck()
    assert link.sought == [(TOPIC, 0)]


SHARES = [
    pytest.param(1, 16 << 20, id="alone-what-a-lane-may-hold"),
    pytest.param(4, 16 << 20, id="few-the-same"),
    pytest.param(64, 1 << 20, id="many-share-what-a-step-may-hold"),
]


@pytest.mark.parametrize(("lanes", "share_bytes"), SHARES)
async def test_an_input_is_paused_once_more_waits_than_a_lanes_share(lanes: int, share_bytes: int) -> None:
    box, _ = inbox_on(link := FakeLink(first=0), lanes)
    half = b"v" * (share_bytes // 2)
    for offset, is_paused in enumerate((False, False, True)):
        box.offer(Pending(Record(TOPIC, 0, offset, 1, None, half), lambda: None))
        assert bool(link.paused) is is_paused

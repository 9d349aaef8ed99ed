from __future__ import annotations

import asyncio
import random
from typing import Any

import numpy as np
import pytest

from abdrift.partitions import partition_of
from abdrift.signals.events import EventRow
from abdrift.signals.objects import ObjectRow
from abdrift.signals.samples import STALE_NAN, SampleRow
from collectors.blocks import SampleBlock, SeriesTable
from collectors.framing import Framer, FramerSettings, NotDeliveredError, UnsendableError
from tests.collectors.recording import RecordingTopic

NEVER_MS = 60_000
QUICK = {"retry_initial_seconds": 0.001, "retry_max_seconds": 0.002}


def row(number: int = 0, cluster: str = "edge-1", size_bytes: int = 0) -> ObjectRow:
    noise = random.Random(number).randbytes(size_bytes)
    return ObjectRow(cluster=cluster, op="modified", name=f"o{number}", observed_ms=1_000 + number, object=noise)


def event(cluster: str = "edge-1") -> EventRow:
    about = dict.fromkeys(("object_group", "object_kind", "object_name", "object_uid"), "x")
    texts = {**about, **dict.fromkeys(("namespace", "type", "reason", "component", "uid"), "x")}
    return EventRow(cluster=cluster, count=1, first_ms=1, last_ms=1, observed_ms=1, **texts)


def block(*rows: SampleRow, table: SeriesTable | None = None) -> SampleBlock:
    """Return rows of one cluster and time of receipt as a block; a series a row."""
    into = table or SeriesTable()
    numbers = [into.add(each.cluster, each.metric, each.labels) for each in rows]
    return SampleBlock(
        cluster=rows[0].cluster,
        table=into,
        series=np.array(numbers, dtype=np.int32),
        values=np.array([each.value for each in rows]),
        times_ms=np.array([each.time_ms for each in rows]),
        observed_ms=rows[0].observed_ms,
        size_bytes=100 * len(rows),
        histograms={at: each.histogram for at, each in enumerate(rows) if each.histogram},
    )


def sample(number: int, cluster: str = "edge-1", **given: Any) -> SampleRow:
    labels = f'{{"n":"{random.Random(number).randbytes(200).hex()}"}}'
    values = {"metric": "up", "labels": labels, "value": number / 2, "time_ms": number, "observed_ms": 1_000}
    return SampleRow(cluster=cluster, **{**values, **given})


def framer(topic: RecordingTopic, **settings: Any) -> Framer:
    given = FramerSettings(**{"max_age_ms": NEVER_MS, "linger_ms": 0, **QUICK, **settings})
    return Framer("kubernetes/edge-1", 7, topic, given, rng=random.Random(1))


def names(topic: RecordingTopic) -> list[str]:
    return [each.name for each in topic.rows if isinstance(each, ObjectRow)]


async def until_sent(topic: RecordingTopic, frames: int) -> None:
    async with asyncio.timeout(60):
        while len(topic.frames) < frames:  # noqa: ASYNC110  what is awaited must not know
            await asyncio.sleep(0.001)


async def test_a_frame_closes_by_rows() -> None:
    topic = RecordingTopic()
    async with framer(topic, max_rows=3) as out:
        for number in range(6):
            await out.put(row(number))
        await until_sent(topic, 2)
        assert [frame.rows for _, _, frame in topic.frames] == [3, 3]
    assert names(topic) == [f"o{number}" for number in range(6)]


async def test_a_frame_closes_by_bytes() -> None:
    topic = RecordingTopic()
    async with framer(topic, max_raw_bytes=10_000) as out:
        for number in range(4):
            await out.put(row(number, size_bytes=5_000))
        await until_sent(topic, 2)
        assert [frame.rows for _, _, frame in topic.frames] == [2, 2]


async def test_a_frame_closes_by_age() -> None:
    topic = RecordingTopic()
    async with framer(topic, max_age_ms=20) as out:
        await out.put(row(1))
        await out.put(row(2))
        await until_sent(topic, 1)
        assert names(topic) == ["o1", "o2"]


async def test_an_urgent_row_takes_those_before_it_along() -> None:
    topic = RecordingTopic()
    async with framer(topic) as out:
        await out.put(row(1))
        await out.put(row(2), urgent=True)
        await until_sent(topic, 1)
        assert names(topic) == ["o1", "o2"]


async def test_a_storm_fills_frames_while_one_is_under_way() -> None:
    topic = RecordingTopic()
    async with framer(topic) as out:
        topic.gate.clear()
        await out.put(row(0), urgent=True)
        await asyncio.sleep(0.01)
        for number in range(1, 500):
            await out.put(row(number), urgent=True)
        topic.gate.set()
        await until_sent(topic, 2)
    assert [frame.rows for _, _, frame in topic.frames] == [1, 499]


async def test_a_frame_too_large_is_split_in_order() -> None:
    topic = RecordingTopic()
    async with framer(topic, max_value_bytes=8_000) as out:
        for number in range(9):
            await out.put(row(number, size_bytes=2_000))
        await out.flush()
    assert names(topic) == [f"o{number}" for number in range(9)]
    assert max(frame.rows for _, _, frame in topic.frames) <= 4
    assert [frame.parts[0].sequence for _, _, frame in topic.frames] == list(range(len(topic.frames)))


async def test_lanes_are_counted_apart_and_go_to_their_clusters_partition() -> None:
    topic = RecordingTopic()
    async with framer(topic, partitions=64) as out:
        for put in (row(1, "edge-1"), row(2, "edge-2"), event("edge-1"), row(3, "edge-1")):
            await out.put(put)
            await out.flush()
    sent = [(name, partition, frame.parts[0]) for name, partition, frame in topic.frames]
    first, second = partition_of("edge-1", 64), partition_of("edge-2", 64)
    assert first != second
    assert [(name.split(".")[2], partition, part.sequence) for name, partition, part in sent] == [
        ("objects", first, 0),
        ("objects", second, 0),
        ("events", first, 0),
        ("objects", first, 1),
    ]
    assert {(part.source, part.epoch) for _, _, part in sent} == {("kubernetes/edge-1", 7)}


async def test_a_broadcast_reaches_every_partition() -> None:
    topic = RecordingTopic()
    async with framer(topic, partitions=4) as out:
        await out.broadcast(row(1, cluster=""))
    assert sorted(partition for _, partition, _ in topic.frames) == [0, 1, 2, 3]


async def test_what_fails_is_sent_again_in_order_and_under_the_same_sequence() -> None:
    topic = RecordingTopic([ConnectionError("away"), TimeoutError()])
    async with framer(topic, max_rows=1) as out:
        for number in range(3):
            await out.put(row(number))
    assert names(topic) == ["o0", "o1", "o2"]
    assert [frame.parts[0].sequence for _, _, frame in topic.frames] == [0, 1, 2]
    assert not out.dropped


async def test_what_kafka_refuses_for_good_is_counted_and_leaves_a_hole_in_the_sequence() -> None:
    topic = RecordingTopic([UnsendableError("too large")])
    async with framer(topic, max_rows=2) as out:
        for number in range(4):
            await out.put(row(number))
    assert names(topic) == ["o2", "o3"]
    assert [frame.parts[0].sequence for _, _, frame in topic.frames] == [1]
    assert out.dropped == {"refused": 2}


@pytest.mark.parametrize(
    "bound", [pytest.param({"buffer_rows": 3}, id="rows"), pytest.param({"buffer_bytes": 1_500}, id="bytes")]
)
async def test_a_full_buffer_holds_the_source_back(bound: dict[str, int]) -> None:
    topic = RecordingTopic()
    topic.gate.clear()
    async with framer(topic, max_rows=1, **bound) as out:
        for number in range(3):
            await out.put(row(number))
        held = asyncio.create_task(out.put(row(3)))
        await asyncio.sleep(0.02)
        assert not held.done()
        topic.gate.set()
        await asyncio.wait_for(held, 60)
    assert names(topic) == ["o0", "o1", "o2", "o3"]
    assert not out.dropped


async def test_a_row_larger_than_the_buffer_passes_alone() -> None:
    topic = RecordingTopic()
    async with framer(topic, buffer_bytes=1_000) as out:
        await asyncio.wait_for(out.put(row(1, size_bytes=5_000)), 60)
    assert names(topic) == ["o1"]


async def test_stopping_sends_what_waits() -> None:
    topic = RecordingTopic()
    out = framer(topic)
    await out.put(row(1))
    await out.stop()
    assert names(topic) == ["o1"]
    with pytest.raises(RuntimeError, match="stopped"):
        await out.put(row(2))


async def test_what_cannot_be_sent_before_the_end_is_counted() -> None:
    topic = RecordingTopic()
    topic.gate.clear()
    out = framer(topic, max_rows=2)
    for number in range(5):
        await out.put(row(number))
    await out.stop(timeout_seconds=0.02)
    assert out.dropped == {"stopped": 5}


async def test_a_hundred_sources_share_one_sender() -> None:
    topic = RecordingTopic()
    out = [Framer(f"kubernetes/c{i}", 1, topic, FramerSettings(linger_ms=1), rng=random.Random(i)) for i in range(100)]
    await asyncio.gather(*(each.put(row(n, f"c{i}"), urgent=True) for i, each in enumerate(out) for n in range(20)))
    await asyncio.gather(*(each.stop() for each in out))
    assert len(topic.rows) == 2_000
    assert {frame.parts[0].source for _, _, frame in topic.frames} == {each.source for each in out}


async def test_what_is_delivered_is_acknowledged() -> None:
    topic = RecordingTopic([RuntimeError("Kafka is away")])
    topic.gate.clear()
    async with framer(topic) as out:
        await out.put(row(0))
        delivered = asyncio.create_task(out.deliver([row(1), row(2, "edge-2"), event()]))
        await asyncio.sleep(0.01)
        assert not delivered.done()
        topic.gate.set()
        await delivered
        assert sorted(names(topic)) == ["o0", "o1", "o2"]
        assert len(topic.rows) == 4


async def test_what_a_caller_gave_up_is_not_sent_but_for_what_was_under_way() -> None:
    topic = RecordingTopic()
    topic.gate.clear()
    async with framer(topic, buffer_rows=4) as out:
        under_way = asyncio.create_task(out.deliver([row(0)]))
        await asyncio.sleep(0.01)
        waits = asyncio.create_task(out.deliver([row(1), row(2, "edge-2")]))
        too_many = asyncio.create_task(out.deliver([row(number) for number in range(3, 9)]))
        stays = asyncio.create_task(out.deliver([row(9)]))
        await asyncio.sleep(0.01)
        for given_up in (waits, too_many, under_way):
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
        await asyncio.sleep(0.01)
        topic.gate.set()
        await stays
        await out.deliver([row(10)])
    assert set(names(topic)) == {"o0", "o2", "o9", "o10"}  # o2 was under way in a lane of its own
    assert not out.dropped
    assert out._held_rows == out._held_bytes == 0


async def test_a_lane_of_which_all_that_waited_is_withdrawn_goes_on() -> None:
    topic = RecordingTopic()
    topic.gate.clear()
    async with framer(topic) as out:
        under_way = asyncio.create_task(out.deliver([row(0)]))
        await asyncio.sleep(0.01)
        waits = asyncio.create_task(out.deliver([row(1)]))
        await asyncio.sleep(0.01)
        waits.cancel()
        topic.gate.set()
        await under_way
        async with asyncio.timeout(60):
            await out.deliver([row(2)])
    assert names(topic) == ["o0", "o2"]


async def test_what_is_refused_is_told_to_who_waits_for_it() -> None:
    topic = RecordingTopic([UnsendableError("too large")])
    async with framer(topic) as out:
        with pytest.raises(NotDeliveredError, match="2 refused") as error:
            await out.deliver([row(1), row(2)])
        assert error.value.refused == {"refused": 2}
        await out.deliver([row(3)])
        await out.deliver([])


async def test_a_framer_that_stops_tells_who_waits() -> None:
    topic = RecordingTopic()
    topic.gate.clear()
    out = framer(topic)
    delivered = asyncio.create_task(out.deliver([row(1)]))
    await asyncio.sleep(0.01)
    await out.stop(timeout_seconds=0.01)
    with pytest.raises(NotDeliveredError, match="1 stopped"):
        await delivered


async def test_blocks_become_the_rows_they_stand_for() -> None:
    topic = RecordingTopic()
    table = SeriesTable()
    first = [sample(1), sample(2, histogram=b"h"), sample(3, metric="down", labels="{}")]
    second = [sample(4, observed_ms=2_000)]
    other = [sample(5, histogram=b"other table")]
    async with framer(topic) as out:
        await out.deliver([block(*first, table=table), block(*second, table=table), block(*other)])
        await out.deliver([block(*first)])
    assert topic.rows == [*first, *second, *other, *first]
    assert [frame.rows for _, _, frame in topic.frames] == [5, 3]


async def test_a_blocks_nan_keeps_its_bits() -> None:
    topic = RecordingTopic()
    stale = np.array([STALE_NAN], dtype=np.uint64).view(np.float64)[0]
    async with framer(topic) as out:
        await out.deliver([block(sample(1, value=stale))])
    (column,) = [frame.batch.column("value") for _, _, frame in topic.frames]
    assert np.asarray(column).view(np.uint64).tolist() == [STALE_NAN]


async def test_a_block_too_large_for_a_frame_is_divided_in_order_and_acknowledged_as_one() -> None:
    topic = RecordingTopic([UnsendableError("too large")])
    rows = [sample(number) for number in range(20)]
    async with framer(topic, max_value_bytes=2_000, buffer_rows=20) as out:
        with pytest.raises(NotDeliveredError) as error:
            await out.deliver([block(*rows)])
        lost = error.value.refused["refused"]
        assert topic.rows == rows[lost:]
        assert len(topic.frames) > 2
        await asyncio.wait_for(out.deliver([block(*rows)]), 5)  # the buffer has room for all again
    assert out.dropped == {"refused": lost}
    assert 0 < lost < 20

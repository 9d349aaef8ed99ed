"""One step over one batch: a bug's record is set apart, its neighbours go on."""

import random
from collections.abc import Mapping

import msgspec
import pytest

from abdrift import topics
from abdrift.cloudevents import CloudEvent
from abdrift.frames import EncodedFrame
from abdrift.partitions import partition_of
from streams.commit import CHUNK_BYTES
from streams.decode import Record
from streams.processing import Processor, Reader, Setting, partition_of_step
from streams.step import Batch, Limits, Outgoing, Publication, Result, publish, tombstone

SETTING = Setting(partition=0, partitions=8, lag_ms=0, restoring=False)
SINGLE = topics.FLEET_REDUCED


class Sum(msgspec.Struct, frozen=True):
    total: int = 0
    ballast: bytes = b""


class Summing:
    """Adds numbers up under one key; says the total; None deletes; what is no number raises."""

    name = "summing"
    reads = (topics.FLEET_OUTCOMES,)
    writes = (topics.FLEET_DECISIONS, SINGLE)
    cell_type = Sum

    def __init__(self) -> None:
        self.batches: list[int] = []

    def process(self, cells: Mapping[str, Sum], batch: Batch) -> Result[Sum]:
        self.batches.append(len(batch.inputs))
        cell, facts = cells.get("sum"), []
        for one in batch.inputs:
            assert one.event is not None
            number = one.event.data["n"]
            if number is None:
                cell = None
                facts.append(tombstone(topics.FLEET_DECISIONS, "sum", "c1"))
                continue
            noise = random.Random(1).randbytes(one.event.data.get("ballast", 0))
            cell = Sum((cell or Sum()).total + number, noise or b"x" * one.event.data.get("padding", 0))
            topic = SINGLE if number == 100 else topics.FLEET_DECISIONS
            about = Publication(topic, topics.DECISION, "sum", "summing", one.cause(), one.append_ms, "c1")
            facts.append(publish(about, {"total": cell.total}))
        return Result({"sum": cell}, facts)


def records(*numbers: object, ballast: int = 0, padding: int = 0) -> list[Record]:
    def value(number: object) -> bytes:
        data = {"n": number, "ballast": ballast, "padding": padding}
        return CloudEvent(
            id="1", source="/t", type="t", subject="s", time="2026-01-01T00:00:00.000Z", data=data
        ).encode()

    return [Record(topics.FLEET_OUTCOMES.name, 0, i, i, None, value(number)) for i, number in enumerate(numbers)]


@pytest.fixture
def processor() -> Processor[Sum]:
    return Processor(Summing(), {topics.FLEET_DECISIONS.name: 8, SINGLE.name: 1})


def totals(processor: Processor[Sum], encoded: Mapping[str, bytes | None]) -> dict[str, int | None]:
    return {key: None if value is None else processor.decode_cell(value).total for key, value in encoded.items()}


@pytest.mark.parametrize(
    ("numbers", "total", "refused", "facts"),
    [
        pytest.param([1, 2, 3], 6, [], 3, id="all-well"),
        pytest.param([1, "x", 3], 4, [1], 2, id="one-raises"),
        pytest.param(["x", 2, 3], 5, [0], 2, id="the-first-raises"),
        pytest.param([1, 2, "x"], 3, [2], 2, id="the-last-raises"),
        pytest.param(["x", 2, "y", 4], 6, [0, 2], 2, id="two-raise"),
        pytest.param([1, None], None, [], 2, id="deleted"),
        pytest.param([1, None, "x", 5], 5, [2], 3, id="deleted-then-raised-then-anew"),
    ],
)
def test_a_raising_record_stands_alone(
    processor: Processor[Sum], numbers: list[object], total: int | None, refused: list[int], facts: int
) -> None:
    done = processor.run({}, records(*numbers), SETTING)
    assert totals(processor, done.encoded) == {"sum": total}
    assert [one.cause.offset for one in done.refused] == refused
    assert all(one.reason == "step-error" for one in done.refused)
    assert len(done.outbox) == facts


def test_nothing_but_a_raising_record_changes_nothing(processor: Processor[Sum]) -> None:
    before = {"sum": Sum(9)}
    done = processor.run(before, records("x"), SETTING)
    assert (done.cells, done.outbox, before) == ({}, [], {"sum": Sum(9)})
    assert done.refused[0].message.startswith("TypeError: ")


def test_halving_asks_the_step_a_logarithm_of_times() -> None:
    step = Summing()
    processor = Processor(step, {topics.FLEET_DECISIONS.name: 8, SINGLE.name: 1})
    processor.run({}, records(*[1] * 63, "x"), SETTING)
    assert len(step.batches) == 1 + 2 * 6


def test_what_cannot_be_read_never_reaches_the_step(processor: Processor[Sum]) -> None:
    bad = Record(topics.FLEET_OUTCOMES.name, 0, 9, 9, None, b"{")
    done = processor.run({}, [*records(1), bad], SETTING)
    assert [(one.cause.offset, one.reason) for one in done.refused] == [(9, "bad-event")]
    assert totals(processor, done.encoded) == {"sum": 1}


def test_facts_go_to_their_clusters_partition_and_to_the_only_one(processor: Processor[Sum]) -> None:
    done = processor.run({}, records(1, 100, None), SETTING)
    assert [(fact.topic, fact.partition) for fact in done.outbox] == [
        (topics.FLEET_DECISIONS.name, partition_of("c1", 8)),
        (SINGLE.name, 0),
        (topics.FLEET_DECISIONS.name, partition_of("c1", 8)),
    ]
    assert done.outbox[-1].value is None


def test_a_cell_too_large_for_a_record_is_the_records_fault(processor: Processor[Sum]) -> None:
    done = processor.run({}, records(1, ballast=CHUNK_BYTES + 1), SETTING)
    assert done.encoded == {}
    assert "must shard" in done.refused[0].message


@pytest.mark.parametrize("padding", [pytest.param(10, id="small"), pytest.param(3 * CHUNK_BYTES, id="large")])
def test_a_cell_that_repeats_itself_fits_whatever_its_size(processor: Processor[Sum], padding: int) -> None:
    done = processor.run({}, records(1, padding=padding), SETTING)
    encoded = done.encoded["sum"]
    assert encoded is not None
    assert len(encoded) < CHUNK_BYTES
    assert processor.decode_cell(encoded) == done.cells["sum"]


class Holding:
    """Adds numbers up in memory of its own, one staged cell a batch."""

    name = "holding"
    reads = (topics.FLEET_OUTCOMES,)
    writes = (topics.FLEET_DECISIONS,)
    columns: Mapping[str, tuple[str, ...]] = {}
    limits = Limits(rows=10, size_bytes=10)

    def open(self, kept: Mapping[str, bytes], _partition: int, _partitions: int) -> "Opened":
        return Opened(int(kept.get("sum", b"0")))


class Opened:
    def __init__(self, total: int) -> None:
        self.total = total

    def process(self, batch: Batch) -> Result[bytes]:
        for one in batch.inputs:
            assert one.event is not None
            self.total += one.event.data["n"]
        facts = [tombstone(topics.FLEET_DECISIONS, str(self.total), "c1")]
        return Result({"sum": b"%d" % self.total}, facts, staged=[("staged", b"%d" % self.total)])


HELD = [
    pytest.param([1, 2, 3], b"16", [], id="none-raises"),
    pytest.param(["bug", 2, 3], b"15", [0], id="the-first-raises"),
    pytest.param([1, "bug", 3, "bug"], b"14", [1, 3], id="two-raise"),
    pytest.param(["bug"], None, [0], id="the-only-one-raises"),
]


@pytest.mark.parametrize(("numbers", "total", "refused"), HELD)
def test_a_step_that_holds_its_state_is_opened_anew_without_the_records_that_raise(
    numbers: list[object], total: bytes | None, refused: list[int]
) -> None:
    step, cells = Holding(), dict(SUM_10())
    counts = {topics.FLEET_OUTCOMES.name: 8, topics.FLEET_DECISIONS.name: 8}
    partition = partition_of_step(step, counts, 0, cells, SUM_10)
    assert not cells, "what was made of them is enough"
    done = partition.run(records(*numbers), SETTING)
    partition.absorb(done)
    assert done.encoded.get("sum") == total
    assert [one.cause.offset for one in done.refused] == refused
    assert {one.reason for one in done.refused} <= {"step-error"}
    assert [fact.key.encode() for fact in done.outbox] == ([total] if total else [])
    assert [cell for staged in done.staged for _, cell in staged] == ([total] if total else [])
    again = partition.run(records(100), SETTING)
    assert again.encoded == {"sum": b"%d" % (int(total or 10) + 100)}, "it goes on from there"


def SUM_10() -> Mapping[str, bytes]:  # noqa: N802  a constant, as the engine asks for it
    return {"sum": b"10"}


def test_a_frame_is_published_with_its_headers() -> None:
    frame = EncodedFrame(b"value", (("abdrift-rows", b"1"),), 1)
    fact = Outgoing(topics.FLEET_DECISIONS, "lane", "c1", None, frame)
    encoded = Reader(Holding(), {topics.FLEET_DECISIONS.name: 8}).encoded(fact)
    assert (encoded.value, encoded.headers) == (b"value", frame.headers)
    assert encoded.partition == partition_of("c1", 8)

"""The vectorised step against the naive one: whatever comes, they say and hold the same."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from abdrift import frames
from abdrift.partitions import partition_of
from streams.commit import StateError
from streams.rates import RatesStep, cells, counting, read, step
from streams.rates import state as states
from streams.rates.state import State
from streams.step import Batch, Input
from tests.streams.rates.oracle import Oracle
from tests.streams.rates.story import (
    MINUTE_MS,
    T0,
    Partition,
    decoded,
    encoded,
    event,
    inputs,
    portrait,
    projected,
    random_rows,
)


def random_records(seed: int, records: int = 24) -> list[Input]:
    rng = random.Random(seed)
    at_ms, told = T0, []
    for number in range(records):
        at_ms += rng.choice([0, 1, 300, 4999, 5000, 5001, 9000, 30_000, MINUTE_MS, 6 * MINUTE_MS])
        kind = rng.random()
        if kind < 0.1:
            told.append((at_ms, None))
        elif kind < 0.2 and told:
            told.append((at_ms - rng.choice([0, 0, 7500]), rng.choice(told)[1]))
        else:
            rows = random_rows(rng, at_ms, rng.choice([1, 3, 20]))
            told.append((at_ms, decoded(encoded(rows, number, rng.choice("ab")))))
    return inputs([*told, (at_ms + 5000, None)])


@pytest.mark.parametrize("seed", range(60))
def test_it_holds_and_says_what_the_oracle_does(seed: int) -> None:
    records = random_records(seed)
    rng = random.Random(seed)
    cuts = rng.sample(range(len(records)), rng.randrange(len(records)))
    partition = Partition().feed(records, cuts, reopen=[cut for cut in cuts if rng.random() < 0.3])
    oracle = Oracle().feed(records)
    assert partition.said == oracle.said
    assert portrait(partition.opened.state) == oracle.portrait()
    assert partition.opened.state.counters == dict(oracle.counters)
    assert +partition.passed_over == oracle.counters
    assert portrait(partition.open().state) == oracle.portrait(), "and so it does when it is restored"


def test_what_a_workload_does_always_is_not_unusual() -> None:
    told = []
    for minute in range(90):
        rows = [event(last_ms=T0 + minute * MINUTE_MS, count=6 if minute < 80 else 40)]
        told.append((T0 + minute * MINUTE_MS, decoded(encoded(rows, minute))))
    partition = Partition().feed(inputs([*told, (T0 + 91 * MINUTE_MS, None)]))
    unusual = [((at_ms - T0) // MINUTE_MS, is_so) for at_ms, _, is_so, _, _ in partition.said]
    assert unusual[0] == (1, True), "of a workload without a past, five are many"
    assert unusual[1][1] is False
    assert unusual[1][0] < 60
    assert unusual[2] == (82, True), "and much more than usual are many again"


def test_silence_makes_usual_again_where_event_time_stands_still() -> None:
    told = [(T0, decoded(encoded([event(count=9)]))), *((T0 + minute * MINUTE_MS, None) for minute in range(1, 9))]
    partition = Partition().feed(inputs(told))
    assert [(at_ms - T0, unusual, count) for at_ms, _, unusual, count, _ in partition.said] == [
        (MINUTE_MS, True, 9),
        (6 * MINUTE_MS, False, 9),
    ]


def test_a_merged_frame_counts_the_parts_that_are_new() -> None:
    parts = [decoded(encoded([event(count=2 + n)], sequence=n)) for n in range(3)]
    merged = frames.merge([parts[0], parts[2]])
    told = [(T0, parts[2]), (T0, decoded(merged)), (T0, parts[1]), (T0 + 5000, None)]
    partition = Partition().feed(inputs(told))
    assert portrait(partition.opened.state)["totals"] == {("edge-1", "shop"): (9, 9)}
    assert partition.opened.state.counters == {"duplicates": 1}


def plain(frame: frames.Frame) -> frames.Frame:
    """Return the frame as a writer without dictionaries sends it."""
    arrays = [
        column.cast(pa.utf8()) if pa.types.is_dictionary(column.type) else column for column in frame.batch.columns
    ]
    return frames.Frame(frame.signal, frame.parts, pa.RecordBatch.from_arrays(arrays, names=frame.batch.schema.names))


def test_columns_need_no_dictionaries() -> None:
    frame = plain(decoded(encoded(random_rows(random.Random(1), T0, 50))))
    records = inputs([(T0, frame), (T0 + 5000, None)])
    assert portrait(Partition().feed(records).opened.state) == Oracle().feed(records).portrait()


def refused(frame: frames.Frame, **capacities: int) -> dict[str, int]:
    partition = Partition()
    state = partition.opened.state
    for name, capacity in capacities.items():
        getattr(state.vocabulary, name).capacity = capacity
    partition.feed(inputs([(T0, frame), (T0 + 5000, None)]))
    kept = portrait(state)
    counted = sum(events for events, _ in kept["totals"].values())
    turned_away = sum(state.counters.get(reason, 0) for reason in ("clusters-full", "namespaces-full", "misplaced"))
    assert counted + turned_away == frame.rows, "what is not counted is counted as refused"
    return state.counters


ROWS = [event(cluster=f"c{n % 5}", namespace=f"n{n % 7}", object_name=f"w{n % 11}") for n in range(385)]
FULL = [
    pytest.param({"clusters": 2}, {"clusters-full": 231}, id="clusters"),
    pytest.param({"namespaces": 3}, {"namespaces-full": 220}, id="namespaces"),
    pytest.param({"workloads": 4}, {"workloads-full": 245}, id="workloads"),
    pytest.param({"clusters": 2, "namespaces": 3}, {"clusters-full": 231, "namespaces-full": 88}, id="both"),
]


@pytest.mark.parametrize(("capacities", "counters"), FULL)
def test_labels_that_explode_are_refused_and_counted(capacities: dict[str, int], counters: dict[str, int]) -> None:
    assert refused(decoded(encoded(ROWS)), **capacities) == counters


def test_more_workloads_than_windows_are_refused_and_counted() -> None:
    rows = [event(cluster=f"c{n}", object_name=f"w{m}") for n in range(5) for m in range(1000)]
    assert refused(decoded(encoded(rows))) == {"workloads-full": 5000 - 4096}


def test_a_cluster_of_another_partition_is_refused() -> None:
    opened = RatesStep(16).open({}, 1, 4)
    ours = next(f"c{n}" for n in range(99) if partition_of(f"c{n}", 4) == 1)
    theirs = next(f"c{n}" for n in range(99) if partition_of(f"c{n}", 4) == 2)
    frame = decoded(encoded([event(cluster=ours), event(cluster=theirs)]))
    told = [projected(one) for one in inputs([(T0, frame), (T0 + 5000, None)])]
    opened.process(Batch(1, 4, told))
    assert opened.state.counters == {"misplaced": 1}
    assert list(portrait(opened.state)["clusters"]) == [ours]


def test_what_is_half_a_year_late_is_refused() -> None:
    frame = decoded(encoded([event(last_ms=1), event()]))
    assert refused(frame) == {"ancient": 1}


def test_a_cluster_that_went_away_is_forgotten_and_its_number_given_again() -> None:
    day_ms = 24 * 60 * MINUTE_MS
    told = [(T0, decoded(encoded([event(), event(cluster="edge-2")], 0)))]
    told += [(T0 + hour * 3_600_000, decoded(encoded([event(cluster="edge-2")], hour))) for hour in range(1, 26)]
    told += [(T0 + day_ms + 7_200_000, decoded(encoded([event(cluster="edge-3")], 26)))]
    records = inputs([*told, (T0 + day_ms + 7_300_000, None)])
    partition = Partition().feed(records, cuts=[5, 20, 27], reopen=[27])
    state = partition.opened.state
    assert state.counters == {"clusters-forgotten": 1}
    assert dict(state.vocabulary.clusters.numbers) == {"edge-2": 1, "edge-3": 0}
    assert portrait(state) == Oracle().feed(records).portrait() == portrait(partition.open().state)


def test_words_that_nothing_needs_make_room() -> None:
    partition = Partition()
    state = partition.opened.state
    state.vocabulary.workloads.capacity = state.vocabulary.namespaces.capacity = 16
    told = []
    for minute in range(0, 600, 30):
        at_ms = T0 + minute * MINUTE_MS
        told.append(
            (at_ms, decoded(encoded([event(object_name=f"w{minute}-{n}", last_ms=at_ms) for n in range(5)], minute)))
        )
    partition.feed(inputs(told))
    assert state.counters == {}, "those of an hour ago are spent and swept"


def test_checkpoints_bound_what_recovery_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "CHECKPOINT_BYTES", 10_000)
    records = random_records(3, records=150)
    partition = Partition().feed(records, cuts=range(1, 150))
    assert int(next(key for key in partition.cells if key.startswith("s/")).split("/")[1]) > 1
    assert sum(map(len, partition.cells.values())) < 10 * 10_000
    assert portrait(partition.open().state) == Oracle().feed(records).portrait()


def test_cells_that_nobody_committed_are_cleared_away() -> None:
    partition = Partition().feed(inputs([(T0, decoded(encoded([event()])))]))
    partition.cells |= {"d/1/7": b"of a worker that died", "s/1/0": b"of another"}
    partition.opened = partition.open()
    partition.feed(inputs([(T0 + 5000, decoded(encoded([event()], 1)))]))
    assert sorted(partition.cells) == ["d/0/0", "d/1/0", "d/1/7", "head"], "a delta's last parts go with the delta"
    assert portrait(partition.open().state)["totals"] == {("edge-1", "shop"): (1, 1)}


def test_a_missing_cell_is_told() -> None:
    partition = Partition().feed(inputs([(T0, decoded(encoded([event()])))]))
    del partition.cells["d/0/0"]
    with pytest.raises(StateError, match="d/0/0"):
        partition.open()


def test_silence_is_written_down_once_a_minute() -> None:
    partition = Partition().feed(inputs([(T0, decoded(encoded([event()]))), (T0 + 6000, None)]))
    before = dict(partition.cells)
    partition.feed(inputs([(T0 + 7000 + 1000 * second, None) for second in range(50)]))
    assert partition.cells == before


@pytest.mark.parametrize("seed", range(5))
def test_a_checkpoint_with_every_batch_holds_what_waits_for_its_beat(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "CHECKPOINT_BYTES", 0)
    monkeypatch.setattr(State, "size_bytes", 0)
    monkeypatch.setattr(cells, "_ROWS", 3)
    monkeypatch.setattr(cells, "_SLOTS", 5)
    monkeypatch.setattr(cells, "_WORDS_BYTES", 10)
    records = random_records(seed)
    partition = Partition().feed(records, cuts=range(len(records)), reopen=range(0, len(records), 2))
    oracle = Oracle().feed(records)
    assert partition.said == oracle.said
    assert portrait(partition.open().state) == oracle.portrait()
    assert not [key for key in partition.cells if key.startswith("d/")]


@pytest.mark.parametrize("seed", range(5))
def test_many_labels_and_much_that_waits_come_to_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_DENSE", 0)
    monkeypatch.setattr(counting, "_BLOCK_ROWS", 1)
    monkeypatch.setattr(states, "_MOST_WAITING", 0)
    monkeypatch.setattr(states, "_JUDGED", 2)
    records = random_records(seed)
    partition = Partition().feed(records, cuts=range(0, len(records), 3))
    oracle = Oracle().feed(records)
    assert partition.said == oracle.said
    assert portrait(partition.opened.state) == oracle.portrait()


def test_counts_are_read_from_cells_with_what_waits_settled() -> None:
    partition = Partition().feed(inputs([(T0, decoded(encoded([event(count=3), event(type="Normal")])))]))
    found = read.opened(partition.cells, 0, 1)
    assert list(read.totals(found)) == [("edge-1", "shop", 4, 3)]
    assert list(read.warnings(found)) == [("edge-1", "shop", "Deployment", "web", T0 // MINUTE_MS, 3)]

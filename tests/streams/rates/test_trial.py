"""Killed, paused, rebalanced, its broker killed: what the step counts and says is what it would have in peace.

The oracle of what is counted is numpy over the workload, apart from any engine. The oracle of what is said is the step
itself, undisturbed, over the records as they lie in Kafka: it depends on nothing but them and their append times.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from abdrift import frames
from abdrift.broker import EmbeddedBroker
from benchmarks.oracle import TOTALS_FILE, WARNINGS_FILE, Oracle
from benchmarks.workload import WorkloadSpec, workload
from streams.rates import read
from streams.rates.counting import COLUMNS
from streams.step import Batch, Input
from tests.streams.rates import readback
from tests.streams.rates.story import portrait
from tests.streams.rates.trial import PARTITIONS, Act, Trial, Violence
from tests.streams.rates.worker import rates_step

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from streams.rates.state import State

pytestmark = pytest.mark.parts

SPAN_SECONDS = 330
"""Of the rows' event times: long enough for what is unusual to become usual again, and for no minute to be let go."""
CALM_BATCH = 256
PORTRAYED_ROWS = 1_000_000
"""With more, a portrait of every workload takes minutes; their counts are compared in any case."""

SHORT = (
    WorkloadSpec(rows=400_000, rows_per_frame=500, clusters=40, partitions=PARTITIONS),
    Violence(kills=4, pauses=2, broker_kills=1, session_seconds=2.0, seconds_an_act=1.0),
)
WHOLE = (
    WorkloadSpec(rows=20_000_000, rows_per_frame=2_000, clusters=1_000, partitions=PARTITIONS),
    Violence(
        kills=30,
        pauses=10,
        broker_kills=5,
        session_seconds=3.0,
        seconds_an_act=2.0,
        max_windows=1 << 20,
        batch_rows=200_000,
        checkpoint_bytes=1 << 20,
    ),
)


@pytest.mark.parametrize(
    ("spec", "violence"),
    [
        pytest.param(*SHORT, id="short"),
        pytest.param(*WHOLE, id="whole", marks=[pytest.mark.soak, pytest.mark.timeout(3_600)]),
    ],
)
async def test_whatever_befalls_workers_and_broker_counts_and_words_are_exact(
    spec: WorkloadSpec, violence: Violence, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(line: str) -> None:
        with capsys.disabled():
            print(f"\ntrial: {line}", end="", flush=True)  # noqa: T201  a soak shows where it is

    # Of a broker that is away a client says a hundred lines a second.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    events = workload(spec, rows_per_second=spec.rows // SPAN_SECONDS)
    fine = {"group.min.session.timeout.ms": "1000"}
    with EmbeddedBroker(tmp_path / "kafka", extra_properties=fine) as broker:
        trial = Trial(broker, tmp_path, events, violence, say)
        try:
            await trial.run()
        finally:
            trial.end()
        say(trial.report())
        await check(trial)
    assert trial.done == {
        Act.KILL: violence.kills,
        Act.PAUSE: violence.pauses,
        Act.BROKER: violence.broker_kills,
    }


async def check(trial: Trial) -> None:
    """Hold what is in Kafka against what ought to be there."""
    said: dict[bytes, bytes] = {}
    repeats = await collect_words(trial, said)
    expected: dict[bytes, bytes] = {}
    with (trial.folder / TOTALS_FILE).open("w") as totals, (trial.folder / WARNINGS_FILE).open("w") as warnings:
        for partition in range(PARTITIONS):
            cells, offset = await readback.cells(trial.settings, trial.step, partition)
            state = read.opened(cells, partition, PARTITIONS)
            totals.writelines(lines((cluster, name, events) for cluster, name, events, _ in read.totals(state)))
            warnings.writelines(lines(read.warnings(state)))
            assert state.counters.keys() <= {"duplicates"}, "each row counts, once"
            calm = await in_peace(trial, partition, offset, expected)
            if trial.workload.spec.rows <= PORTRAYED_ROWS:
                assert portrait(state) == portrait(calm)
    oracle = Oracle(trial.workload)
    oracle.check(trial.folder, oracle.expected())
    assert said.keys() == expected.keys(), "a fact is missing, or is none of a calm run's"
    assert said == expected
    assert expected, "a trial in which nothing is said shows nothing"
    trial.tell(f"exact; {len(said):,} frames of words, {repeats} repeated")


async def collect_words(trial: Trial, said: dict[bytes, bytes]) -> int:
    """Note each frame of words by its id, and return how many came more than once: the same to the byte."""
    repeats = 0
    for partition in range(PARTITIONS):
        async for one in readback.records(trial.settings, trial.step.writes[0].name, partition):
            about = dict(one.headers)["abdrift-parts"]
            repeats += about in said
            assert said.setdefault(about, one.value) == one.value, "a repeat that differs"
    return repeats


async def in_peace(trial: Trial, partition: int, end: int, said: dict[bytes, bytes]) -> State:
    """Note what the step says of a partition's records before an offset when nothing happens; return its state."""
    opened = rates_step(trial.prefix, trial.violence.max_windows).open({}, partition, PARTITIONS)

    def process(batch: list[Input]) -> None:
        for fact in opened.process(Batch(partition, PARTITIONS, batch)).facts:
            assert fact.frame is not None
            said[dict(fact.frame.headers)["abdrift-parts"]] = fact.frame.value

    batch: list[Input] = []
    async for one in readback.records(trial.settings, trial.step.reads[0].name, partition):
        if one.offset >= end:
            break
        frame = None if one.value is None else frames.decode(one.value, one.headers, COLUMNS)
        batch.append(Input(one.topic, one.partition, one.offset, one.timestamp, frame=frame))
        if len(batch) == CALM_BATCH:
            process(batch)
            batch = []
    process(batch)
    opened.state.settle(opened.state.beat + 1)
    return opened.state


def lines(rows: Iterable[tuple[str | int, ...]]) -> Iterable[str]:
    return ("\t".join(map(str, row)) + "\n" for row in rows)

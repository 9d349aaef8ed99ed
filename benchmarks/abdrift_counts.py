"""What Abdrift counted, read back from its changelog: what a worker that took over would begin with."""

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
from aiokafka import TopicPartition
from pyarrow import csv

from abdrift import kafka
from abdrift.kafka import KafkaSettings
from benchmarks.oracle import TOTALS_FILE, WARNINGS_FILE
from streams.commit import recover
from streams.preparation import changelog_topic
from streams.rates import RatesStep, keys
from streams.rates.packing import Ints
from streams.rates.state import State
from streams.rates.vocabulary import Vocabulary
from streams.rates.windows import KEPT_MINUTES

_LINES = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")


async def leave(settings: KafkaSettings, folder: Path) -> None:
    """Write the counts that the step's changelog holds, as `benchmarks.oracle` reads them."""
    states = [state async for state in _states(settings)]
    with ExitStack() as stack:
        totals = stack.enter_context(folder.joinpath(TOTALS_FILE).open("wb"))
        warnings = stack.enter_context(folder.joinpath(WARNINGS_FILE).open("wb"))
        for state in states:
            csv.write_csv(_totals(state), totals, _LINES)
            csv.write_csv(_warnings(state), warnings, _LINES)


async def _states(settings: KafkaSettings) -> AsyncIterator[State]:
    topic = changelog_topic(RatesStep.name)
    partitions = await kafka.partition_count(settings, topic)
    tables: dict[int, dict[bytes, bytes]] = {partition: {} for partition in range(partitions)}
    async with kafka.consumer(settings) as consumer:
        where = [TopicPartition(topic, partition) for partition in tables]
        consumer.assign(where)
        for at, end in (await consumer.end_offsets(where)).items():
            while await consumer.position(at) < end:
                # One worker wrote all of it, so no record is a superseded owner's.
                for record in (await consumer.getmany(at, timeout_ms=500)).get(at, ()):
                    if record.value is None:
                        tables[at.partition].pop(record.key, None)
                    else:
                        tables[at.partition][record.key] = record.value
    for partition, table in tables.items():
        state = RatesStep().open(recover(table.items()).cells, partition, partitions).state
        # What the last beat heard still waits for the beat's end.
        state.settle(state.beat + 1)
        yield state


def _totals(state: State) -> pa.Table:
    slots = state.places.slots()
    places = state.places.key_of(slots)
    return pa.table({**_place(state.vocabulary, places), "count": state.events[slots]})


def _warnings(state: State) -> pa.Table:
    slots = state.workloads.slots()
    rows, at = np.nonzero(state.windows.counts[slots])
    workloads, newest = state.workloads.key_of(slots)[rows], state.windows.minute[slots].astype(np.int64)[rows]
    numbers, row_of_number = np.unique(keys.label_of(workloads), return_inverse=True)
    kinds, names = zip(*(state.vocabulary.split(int(number)) for number in numbers), strict=True)
    return pa.table(
        {
            **_place(state.vocabulary, keys.place_of(workloads)),
            "kind": pa.array(kinds).take(pa.array(row_of_number)),
            "name": pa.array(names).take(pa.array(row_of_number)),
            "minute": newest - (newest - at) % KEPT_MINUTES,
            "count": state.windows.counts[slots][rows, at].astype(np.int64),
        }
    )


def _place(words: Vocabulary, places: Ints) -> dict[str, pa.Array]:
    return {
        name: _words(labels.numbers, numbers)
        for name, labels, numbers in (
            ("cluster", words.clusters, keys.cluster_of_place(places)),
            ("namespace", words.namespaces, keys.namespace_of_place(places)),
        )
    }


def _words(numbers: Mapping[str, int], wanted: Ints) -> pa.Array:
    words = [""] * (max(numbers.values(), default=0) + 1)
    for word, number in numbers.items():
        words[number] = word
    return pa.array(words).take(pa.array(wanted))

"""A partition's counts in words, from its cells: for tests, benchmarks and whoever wants to look."""

from collections.abc import Iterator, Mapping

import numpy as np

from streams.rates import keys
from streams.rates.state import State
from streams.rates.step import RatesStep
from streams.rates.windows import KEPT_MINUTES


def opened(kept: Mapping[str, bytes], partition: int, partitions: int) -> State:
    """Return the state that committed cells tell, what waits for its beat to end settled.

    Raises:
        streams.commit.StateError: cells are missing.

    """
    held = RatesStep().open(kept, partition, partitions)
    held.state.settle(held.state.beat + 1)
    return held.state


def totals(state: State) -> Iterator[tuple[str, str, int, int]]:
    """Yield cluster, namespace, Events and Warnings."""
    words = state.vocabulary
    slots = state.places.slots()
    places = state.places.key_of(slots)
    columns = (keys.cluster_of_place(places), keys.namespace_of_place(places), *state.sums[slots].T)
    for cluster, namespace, events, warnings in zip(*(column.tolist() for column in columns), strict=True):
        yield words.clusters[cluster], words.namespaces[namespace], events, warnings


def warnings(state: State) -> Iterator[tuple[str, str, str, str, int, int]]:
    """Yield cluster, namespace, kind, workload, minute since the epoch, and Warnings, of all minutes kept."""
    words = state.vocabulary
    slots = state.workloads.slots()
    kept = state.windows.take(slots)
    rows, places = np.nonzero(kept.counts)
    newest = kept.minute[rows]
    of_workloads = state.workloads.key_of(slots)[rows]
    of_places = keys.place_of(of_workloads)
    columns = (
        keys.cluster_of_place(of_places),
        keys.namespace_of_place(of_places),
        keys.label_of(of_workloads),
        newest - (newest - places) % KEPT_MINUTES,
        kept.counts[rows, places],
    )
    for cluster, namespace, label, minute, count in zip(*(column.tolist() for column in columns), strict=True):
        kind, name = words.split(label)
        yield words.clusters[cluster], words.namespaces[namespace], kind, name, minute, count

"""Frames of Events for the tests of rates, and what the step makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from abdrift import frames
from abdrift.signals import events, rates
from abdrift.signals.events import EVENTS, EventRow
from abdrift.topics import EVENTS as TOPIC
from streams.rates import RatesStep, keys, read
from streams.rates.sums import STAMP_BITS, STAMP_MASK
from streams.rates.windows import KEPT_MINUTES
from streams.step import Input, Outgoing
from tests.streams.kept import KeptPartition

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from streams.rates.state import State
    from streams.rates.step import Opened

T0 = 1_790_000_040_000
MINUTE_MS = 60_000
MAX_WINDOWS = 1 << 12


def event(**changed: Any) -> EventRow:
    row: dict[str, Any] = {
        "cluster": "edge-1",
        "namespace": "shop",
        "type": "Warning",
        "reason": "BackOff",
        "component": "kubelet",
        "object_group": "apps",
        "object_kind": "Deployment",
        "object_name": "web",
        "count": 1,
        "first_ms": T0,
        "last_ms": T0,
        "observed_ms": T0,
    }
    return EventRow(**(row | changed))


def encoded(rows: Sequence[EventRow], sequence: int = 0, source: str = "s", epoch: int = 1) -> frames.EncodedFrame:
    return frames.encode(EVENTS, events.columns_of(rows), (source, epoch, sequence))


def decoded(made: frames.EncodedFrame) -> frames.Frame:
    """Return all columns: what the step reads of them, and the oracle."""
    return frames.decode(made.value, made.headers)


def inputs(told: Iterable[tuple[int, frames.Frame | None]]) -> list[Input]:
    """Return records appended at these times."""
    return [Input(TOPIC.name, 0, offset, at_ms, frame=frame) for offset, (at_ms, frame) in enumerate(told)]


def projected(record: Input) -> Input:
    """Return the record as the engine decodes it for the step."""
    if record.frame is None:
        return record
    wanted = RatesStep().columns[TOPIC.name]
    columns = {name: record.frame.columns[name] for name in wanted}
    frame = frames.Frame(record.frame.signal, record.frame.parts, columns)
    return Input(record.topic, record.partition, record.offset, record.append_ms, record.key, frame)


class Partition(KeptPartition):
    """One partition of rates."""

    opened: Opened

    def __init__(self) -> None:
        super().__init__(lambda cells: RatesStep(MAX_WINDOWS).open(cells, 0, 1), projected)

    @property
    def said(self) -> list[tuple[int, tuple[str, str, str, str], bool, int, str]]:
        return [said for fact in self.facts for said in said_in(_frame(fact))]


def said_in(frame: frames.Frame) -> list[tuple[int, tuple[str, str, str, str], bool, int, str]]:
    """Return the words of one frame."""
    return [
        (row.judged_ms, (row.cluster, row.namespace, row.kind, row.name), row.unusual, row.warnings, row.reason)
        for row in rates.rows_of(frame.batch)
    ]


def _frame(fact: Outgoing) -> frames.Frame:
    assert fact.frame is not None
    return frames.decode(fact.frame.value, fact.frame.headers)


def portrait(state: State) -> dict[str, Any]:
    """Return everything that must be the same, in words."""
    slots = state.workloads.slots()
    rows = state.windows.take(slots)
    rows.advance(state.clock[keys.cluster_of(state.workloads.key_of(slots))])
    state.windows.put(slots, rows)
    unusual = state.windows.unusual[slots] != 0
    left = ~rows.are_spent | unusual
    counts: dict[tuple[str, ...], dict[int, int]] = {}
    for cluster, namespace, kind, name, minute, count in read.warnings(state):
        counts.setdefault((cluster, namespace, kind, name), {})[minute] = count
    windows = {}
    for row in np.flatnonzero(left).tolist():
        key = _key(state, int(slots[row]))
        stamp = int(rows.stamp[row])
        newest = (stamp >> STAMP_BITS, state.vocabulary.reasons[stamp & STAMP_MASK])
        windows[key] = (counts.get(key, {}), int(rows.usual[row]), newest, bool(unusual[row]))
    return {
        "totals": {(c, n): (events_, warnings) for c, n, events_, warnings in read.totals(state)},
        "windows": windows,
        "clusters": {
            name: tuple(int(column[number]) for column in state.of_clusters())
            for name, number in state.vocabulary.clusters.numbers.items()
        },
    }


def _key(state: State, slot: int) -> tuple[str, str, str, str]:
    key = state.workloads.key_of(np.array([slot]))
    words, of_place = state.vocabulary, keys.place_of(key)
    kind, name = words.split(int(keys.label_of(key)[0]))
    cluster, namespace = int(keys.cluster_of_place(of_place)[0]), int(keys.namespace_of_place(of_place)[0])
    return words.clusters[cluster], words.namespaces[namespace], kind, name


def random_rows(rng: random.Random, at_ms: int, count: int) -> list[EventRow]:
    """Return rows of all sorts, seen about this time: mixed, early, late, ahead, repeated, negative."""
    return [
        event(
            cluster=rng.choice(["edge-1", "edge-2", "edge-3"]),
            namespace=rng.choice(["shop", "mail", ""]),
            type=rng.choice(["Warning", "Warning", "Normal", "Odd"]),
            reason=rng.choice(["BackOff", "Unhealthy", "Pulled", ""]),
            object_kind=(kind := rng.choice(["Pod", "Deployment", "Job", ""])),
            object_name=rng.choice(
                ["web", "api-000", "web-5f6d8c7b9d-x2vzq", "db-0"] if kind == "Pod" else ["web", "db"]
            ),
            count=rng.choice([1, 1, 1, 2, 7, 0, -3, 2**31 - 1]) if rng.random() < 0.3 else 1,
            last_ms=at_ms + rng.choice([0, 0, -500, 700, -MINUTE_MS, -9 * MINUTE_MS, 3 * MINUTE_MS, -4 * MINUTE_MS]),
        )
        for _ in range(count)
    ]


assert KEPT_MINUTES == 8, "the oracle has that number in it"

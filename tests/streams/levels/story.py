"""Frames of samples and logs for the tests of levels, and what the step makes of them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from abdrift import frames
from abdrift.cloudevents import CloudEvent
from abdrift.facts.governance import HealthPolicy, LevelRule, Policy
from abdrift.signals import levels, logs, samples
from abdrift.signals.logs import LogRow
from abdrift.signals.samples import SampleRow, labels_text
from abdrift.signing import SignatureRefused
from abdrift.topics import FLEET_POLICY, LOGS, POLICY, SAMPLES
from streams.levels import LevelsStep
from streams.rates.windows import KEPT_MINUTES
from streams.step import Input, Outgoing
from tests.streams.kept import KeptPartition

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping, Sequence

    from abdrift.signals.levels import LevelRow
    from streams.levels.state import State
    from streams.levels.step import Opened

T0 = 1_790_000_040_000
MINUTE_MS = 60_000
MAX_MEMBERS = 1 << 12
STALE = struct.unpack("<d", struct.pack("<Q", samples.STALE_NAN))[0]
SIGNED = {"key_id": "right", "value": "x"}

Told = tuple[int, frames.Frame | CloudEvent | str | None]
"""When something was appended: a frame, a policy, a tombstone's key, or a tick."""


def sample(**changed: Any) -> SampleRow:
    labels = changed.pop("labels", {"namespace": "shop", "deployment": "web"})
    row: dict[str, Any] = {"cluster": "edge-1", "metric": "depth", "value": 1.0, "time_ms": T0, "observed_ms": T0}
    return SampleRow(labels=labels_text(labels), **(row | changed))


def line(**changed: Any) -> LogRow:
    row: dict[str, Any] = {
        "cluster": "edge-1",
        "namespace": "shop",
        "workload_kind": "Deployment",
        "workload": "web",
        "severity": "error",
        "sender": "vector",
        "time_ms": T0,
        "observed_ms": T0,
        "message": "no",
    }
    return LogRow(**(row | changed))


def rule(name: str = "deep", **changed: Any) -> LevelRule:
    return LevelRule(**({"name": name, "selector": "depth", "threshold": 10} | changed))


def encoded(rows: Sequence[SampleRow | LogRow], sequence: int = 0, source: str = "s") -> frames.EncodedFrame:
    module = samples if isinstance(rows[0], SampleRow) else logs
    signal = samples.SAMPLES if isinstance(rows[0], SampleRow) else logs.LOGS
    return frames.encode(signal, module.columns_of(rows), (source, 1, sequence))


def decoded(made: frames.EncodedFrame) -> frames.Frame:
    """Return all columns: what the step reads of them, and the oracle."""
    return frames.decode(made.value, made.headers)


def frame(*rows: SampleRow | LogRow, sequence: int = 0, source: str = "s") -> frames.Frame:
    return decoded(encoded(rows, sequence, source))


def policy(*rules: LevelRule, **health: Any) -> CloudEvent:
    """Return a policy, signed as `verify` wants it."""
    data = Policy(health=HealthPolicy(rules=rules, **health)).model_dump(mode="json", exclude_none=True)
    return CloudEvent(
        id="p",
        source="/abdrift/tests",
        type=POLICY.name,
        subject="default",
        time="2026-11-23T07:00:00.000Z",
        dataschema=POLICY.schema_id,
        data=data | {"signature": SIGNED},
    )


def verify(_type: str, data: Mapping[str, Any]) -> None:
    if data.get("signature") != SIGNED:
        raise SignatureRefused("unsigned", "no signature")


def inputs(told: Iterable[Told]) -> list[Input]:
    """Return records appended at these times."""
    found = []
    for offset, (at_ms, what) in enumerate(told):
        if isinstance(what, frames.Frame):
            topic = SAMPLES if what.signal is samples.SAMPLES else LOGS
            found.append(Input(topic.name, 0, offset, at_ms, frame=what))
        elif isinstance(what, CloudEvent):
            found.append(Input(FLEET_POLICY.name, 0, offset, at_ms, key="default", event=what))
        elif what is not None:
            found.append(Input(FLEET_POLICY.name, 0, offset, at_ms, key=what, tombstone=True))
        else:
            found.append(Input(SAMPLES.name, 0, offset, at_ms))
    return found


def projected(record: Input) -> Input:
    """Return the record as the engine decodes it for the step."""
    if record.frame is None:
        return record
    batch = record.frame.batch.select(list(LevelsStep(verify).columns[record.topic]))
    chosen = frames.Frame(record.frame.signal, record.frame.parts, batch)
    return Input(record.topic, record.partition, record.offset, record.append_ms, record.key, chosen)


class Partition(KeptPartition):
    """One partition of levels."""

    opened: Opened

    def __init__(self, max_members: int = MAX_MEMBERS) -> None:
        super().__init__(lambda cells: LevelsStep(verify, max_members).open(cells, 0, 1), projected)

    def tell(self, *told: Told) -> Partition:
        """Take in what was appended, each record in a batch of its own."""
        records = inputs(told)
        return self.feed(records, range(len(records)))

    @property
    def rows(self) -> list[LevelRow]:
        """All words."""
        return [row for fact in self.facts for row in levels.rows_of(said_frame(fact).batch)]

    @property
    def said(self) -> list[tuple[Any, ...]]:
        return [said(row) for row in self.rows]


def said(row: LevelRow) -> tuple[Any, ...]:
    """Return a word without its text."""
    return (row.judged_ms, row.cluster, row.subject, row.namespace, row.kind, row.name, row.rule, row.state)


def said_frame(fact: Outgoing) -> frames.Frame:
    assert fact.frame is not None
    return frames.decode(fact.frame.value, fact.frame.headers)


def portrait(state: State) -> dict[str, Any]:
    """Return everything that must be the same, in words."""
    return {
        "members": dict(_members(state)),
        "logs": _logs(state),
        "clusters": {
            name: (int(state.sampled[number]), int(state.logged[number]))
            for name, number in state.vocabulary.clusters.numbers.items()
        },
        "offenders": {state.vocabulary.clusters[one]: metric for one, (metric, _) in state.offenders.items()},
    }


def _members(state: State) -> Iterable[tuple[Any, Any]]:
    for joined in state.series.everything():
        table, slot = state.tables[joined.member & 1], joined.member >> 1
        kept = table.ring.take(np.array([slot]))
        told = {t: b for t, b in zip(kept.times_ms[0].tolist(), kept.bits[0].tolist(), strict=True) if t}
        key = (joined.rule, state.vocabulary.clusters[joined.cluster], joined.metric, joined.labels)
        yield key, (told, int(table.phase[slot]), int(table.since_ms[slot]))


def _logs(state: State) -> dict[Any, Any]:
    logs_ = state.logs
    found = {}
    for slot in logs_.workloads.slots().tolist():
        of_slot = np.array([slot])
        errors, lines = logs_.errors.take(of_slot), logs_.lines.take(of_slot)
        for rows in (errors, lines):
            rows.advance(np.array([state.minute]))
        unusual = bool(logs_.errors.unusual[slot])
        if errors.are_spent[0] and not lines.recent[0] and not unusual:
            continue
        minutes = [state.minute - back for back in range(KEPT_MINUTES)]
        counts = [
            {m: int(rows.counts[0, m % KEPT_MINUTES]) for m in minutes if rows.counts[0, m % KEPT_MINUTES]}
            for rows in (errors, lines)
        ]
        found[state._about(slot)] = (*counts, int(errors.usual[0]), unusual)
    return found


def random_samples(rng: random.Random, at_ms: int, count: int) -> list[SampleRow]:
    """Return samples of all sorts, seen about this time: early, late, ahead, repeated, ended, unreadable."""
    found = []
    for _ in range(count):
        labels: dict[str, str] = {
            "namespace": rng.choice(["shop", "mail"]),
            "pod": rng.choice(["web-0", "web-1", "db-0"]),
        }
        if rng.random() < 0.2:
            labels = rng.choice([{"node": "n1"}, {"namespace": "shop"}, {}])
        row = sample(
            cluster=rng.choice(["edge-1", "edge-2", "edge-3"]),
            metric=rng.choice(["depth", "requests_total", "requests_total", "up", "unheard_of"]),
            labels=labels,
            value=rng.choice([0.0, 1.0, 3.0, 11.0, 25.0, 25.0, float("nan"), STALE, float("inf"), -2.0])
            if rng.random() < 0.5
            else float(rng.randrange(100)),
            time_ms=at_ms + rng.choice([0, 0, 0, -500, -15_000, -40_000, -MINUTE_MS, -6 * MINUTE_MS, 3 * MINUTE_MS]),
        )
        found.append(SampleRow(**{**_fields(row), "labels": "{"}) if rng.random() < 0.02 else row)
    return found


def random_lines(rng: random.Random, at_ms: int, count: int) -> list[LogRow]:
    """Return lines of all sorts, seen about this time."""
    return [
        line(
            cluster=rng.choice(["edge-1", "edge-2"]),
            namespace=rng.choice(["shop", "mail"]),
            workload_kind=rng.choice(["Deployment", "", "Pod"]),
            workload=(workload := rng.choice(["web", "", ""])),
            pod="" if workload else rng.choice(["", "api-5f6d8c7b9d-x2vzq", "db-0"]),
            node=rng.choice(["", "n1"]),
            severity=rng.choice(["error", "fatal", "info", "ERROR", "", "warn"]),
            time_ms=at_ms + rng.choice([0, 0, -500, 700, -MINUTE_MS, -7 * MINUTE_MS, -9 * MINUTE_MS, 3 * MINUTE_MS]),
        )
        for _ in range(count)
    ]


def _fields(row: SampleRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}

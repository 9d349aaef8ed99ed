"""Frames that come in another order, twice, or too late end in the same state. A seed is replayed by its number:

ABDRIFT_SEED=4711 pytest tests/streams/rates/test_order.py
"""

from __future__ import annotations

import hashlib
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from abdrift import frames
from tests.streams.rates.story import MINUTE_MS, T0, Partition, decoded, encoded, event, inputs, portrait

if TYPE_CHECKING:
    from abdrift.signals.events import EventRow

SEEDS = 10_000
SEEDS_IN_CI = 25
CLUSTERS = ("edge-1", "edge-2", "edge-3")
PHASE_MINUTES = 6
"""Less than what is kept: within a phase no order makes a row late."""
HOPELESS_MINUTES = 30


def rows_of_phase(rng: random.Random, begin_ms: int, count: int) -> list[EventRow]:
    kinds = [("Pod", "web-5f6d8c7b9d-x2vzq"), ("Pod", "db-0"), ("Deployment", "web"), ("Job", "backup-29312345")]
    found = []
    for _ in range(count):
        kind, name = rng.choice(kinds)
        found.append(
            event(
                cluster=rng.choice(CLUSTERS),
                namespace=rng.choice(["shop", "mail"]),
                type=rng.choice(["Warning", "Warning", "Normal"]),
                reason=rng.choice(["BackOff", "Unhealthy", "Failed"]),
                object_kind=kind,
                object_name=name,
                count=rng.choice([1, 1, 2, 9]),
                last_ms=begin_ms + rng.randrange(PHASE_MINUTES * MINUTE_MS)
                if rng.random() < 0.9
                else begin_ms - HOPELESS_MINUTES * MINUTE_MS,
            )
        )
    return found


def phases(rng: random.Random) -> list[list[frames.Frame]]:
    """Return frames, those of a phase in the order in which they were sent; its first one sets every clock."""
    sequences = {"a": 0, "b": 0}
    told = []
    for number in range(rng.randrange(1, 4)):
        begin_ms = T0 + number * (HOPELESS_MINUTES - 10) * MINUTE_MS
        rows = [event(cluster=cluster, last_ms=begin_ms, count=1) for cluster in CLUSTERS]
        phase = []
        for index in range(rng.randrange(2, 9)):
            source = rng.choice("ab")
            made = encoded(
                rows if index == 0 else rows_of_phase(rng, begin_ms, rng.randrange(1, 12)), sequences[source], source
            )
            sequences[source] += 1
            phase.append(decoded(made))
        told.append(phase)
    return told


def disturbed(rng: random.Random, phase: list[frames.Frame], before: list[frames.Frame]) -> list[frames.Frame]:
    """Return a phase as a bad day brings it: shuffled, with repeats, some frames merged."""
    first, rest = phase[0], phase[1:]
    rest = rest + rng.choices([*phase, *before], k=rng.randrange(4))
    rng.shuffle(rest)
    if len(rest) > 1 and rng.random() < 0.3:
        merged = frames.merge(rest[:2])
        rest = [frames.decode(merged.value, merged.headers), *rest[2:]]
    return [first, *rest]


def state_hash(rng: random.Random, told: list[list[frames.Frame]]) -> str:
    """Return a hash of what commutes, after these frames in batches cut anywhere."""
    records: list[tuple[int, frames.Frame | None]] = []
    at_ms = T0 + 3 * 3_600_000  # after every event time, so that none is set back
    for phase in told:
        for frame in phase:
            at_ms += rng.choice([1, 400, 5000, 20_000])
            records.append((at_ms, frame))
        at_ms += 6000
        records.append((at_ms, None))
    taken = inputs(records)
    cuts = rng.sample(range(len(taken)), rng.randrange(len(taken)))
    partition = Partition().feed(taken, cuts, reopen=cuts[:1])
    seen: dict[str, Any] = portrait(partition.opened.state)
    seen["windows"] = {about: kept[:3] for about, kept in seen["windows"].items()}
    seen["clusters"] = {name: (clock, late, ahead) for name, (clock, _, _, late, ahead) in seen["clusters"].items()}
    seen["missing"] = partition.opened.state.sequences.missing
    ordered = {kind: sorted(kept.items()) if isinstance(kept, dict) else kept for kind, kept in seen.items()}
    return hashlib.sha256(repr(ordered).encode()).hexdigest()


def check(seed: int) -> None:
    rng = random.Random(seed)
    told = phases(rng)
    expected = state_hash(rng, told)
    before: list[frames.Frame] = []
    other = []
    for phase in told:
        other.append(disturbed(rng, phase, before))
        before += phase
    assert state_hash(rng, other) == expected, f"replay: ABDRIFT_SEED={seed} pytest {__file__}"


@pytest.mark.parametrize(
    "seed", [int(os.environ["ABDRIFT_SEED"])] if "ABDRIFT_SEED" in os.environ else range(SEEDS_IN_CI)
)
def test_order_repeats_and_lateness_do_not_show(seed: int) -> None:
    check(seed)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_order_repeats_and_lateness_do_not_show_under_any_seed() -> None:
    for seed in range(SEEDS):
        check(seed)

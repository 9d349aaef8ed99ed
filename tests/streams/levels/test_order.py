"""Frames that come in another order, twice, or too late end in the same state. A seed is replayed by its number:

ABDRIFT_SEED=4711 pytest tests/streams/levels/test_order.py
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from abdrift import frames
from tests.streams.levels.story import (
    MINUTE_MS,
    T0,
    Partition,
    decoded,
    encoded,
    inputs,
    line,
    policy,
    portrait,
    sample,
)
from tests.streams.levels.test_step import RULES

if TYPE_CHECKING:
    from tests.streams.levels.story import Told

SEEDS = 2_000
SEEDS_IN_CI = 15
SPAN_MS = 2 * MINUTE_MS
"""Within which all is said and appended: no order makes a line late or a sample stale."""
HOPELESS_MS = 90 * MINUTE_MS


def rows(rng: random.Random) -> list[Any]:
    """Return samples, or lines, of the minutes before `T0`, a few of them hopelessly late."""

    def at_ms() -> int:
        return T0 - HOPELESS_MS if rng.random() < 0.1 else T0 - rng.randrange(SPAN_MS)

    cluster, count = rng.choice(["edge-1", "edge-2"]), rng.randrange(1, 12)
    if rng.random() < 0.3:
        kinds = [{"workload": "web"}, {"workload": "", "pod": "db-0"}, {"workload": "", "node": "n1"}]
        return [
            line(cluster=cluster, time_ms=at_ms(), severity=rng.choice(["error", "info"]), **rng.choice(kinds))
            for _ in range(count)
        ]
    return [
        sample(
            cluster=cluster,
            metric=rng.choice(["depth", "requests_total", "unheard_of"]),
            labels={"namespace": "shop", "pod": rng.choice(["web-0", "web-1"])},
            value=float(rng.randrange(50)),
            time_ms=at_ms(),
        )
        for _ in range(count)
    ]


def sent(rng: random.Random) -> list[frames.Frame]:
    return [decoded(encoded(rows(rng), number, "s")) for number in range(rng.randrange(2, 12))]


def disturbed(rng: random.Random, told: list[frames.Frame]) -> list[frames.Frame]:
    """Return frames as a bad day brings them: shuffled, with repeats, some merged."""
    found = told + rng.choices(told, k=rng.randrange(4))
    rng.shuffle(found)
    if found[0].signal is found[1].signal and rng.random() < 0.5:
        merged = frames.merge(found[:2])
        found = [frames.decode(merged.value, merged.headers), *found[2:]]
    return found


def final(rng: random.Random, told: list[frames.Frame]) -> dict[str, Any]:
    """Return what commutes, after these frames in batches cut anywhere: what rests on no order of judgements."""
    records: list[Told] = [(T0, policy(*RULES))]
    at_ms = T0
    for frame in told:
        at_ms += rng.choice([1, 400, 2500])
        records.append((at_ms, frame))
    # In the next minute all are judged as they stand in the end.
    records.append((T0 + MINUTE_MS, None))
    taken = inputs(records)
    cuts = rng.sample(range(len(taken)), rng.randrange(len(taken)))
    partition = Partition().feed(taken, cuts, reopen=cuts[:1])
    found = portrait(partition.opened.state)
    found["members"] = {key: kept for key, (kept, _, _) in found["members"].items()}
    found["logs"] = {key: kept[:3] for key, kept in found["logs"].items()}
    late = partition.opened.state.counters.get("late", 0)
    return found | {"late": late, "missing": partition.opened.state.sequences.missing}


def check(seed: int) -> None:
    rng = random.Random(seed)
    told = sent(rng)
    expected = final(rng, told)
    assert final(rng, disturbed(rng, told)) == expected, f"replay: ABDRIFT_SEED={seed} pytest {__file__}"


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

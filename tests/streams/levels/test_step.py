"""The vectorised step against the naive one: whatever comes, they say and hold the same."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from abdrift.facts.governance import HealthPolicy
from tests.streams.levels.oracle import Oracle
from tests.streams.levels.story import (
    MINUTE_MS,
    T0,
    Partition,
    frame,
    inputs,
    policy,
    portrait,
    random_lines,
    random_samples,
    rule,
)

if TYPE_CHECKING:
    from streams.step import Input
    from tests.streams.levels.story import Told

RULES = (
    rule("deep", selector="depth", threshold=20),
    rule("deep-shop", selector='depth{namespace="shop"}', comparison=">=", threshold=25, for_seconds=20),
    rule("busy", selector='requests_total{pod=~"web-.*"}', function="rate(1m)", threshold=0.5),
    rule("busier", selector="requests_total", function="increase(5m)", threshold=90, severity="failing"),
    rule("mostly", selector='requests_total{pod!~"db-.+"}', function="quantile(0.5, 2m)", threshold=50, comparison="<"),
    rule("down", selector="up", threshold=0, comparison="<=", subject="node"),
    rule("shallow", selector="depth", threshold=1, comparison="<", subject="cluster"),
)


def random_records(seed: int, records: int = 24) -> list[Input]:
    rng = random.Random(seed)
    at_ms = T0
    told: list[Told] = [(T0 - 1, policy(*RULES))]
    for number in range(records):
        at_ms += rng.choice([0, 1, 300, 4999, 5000, 5001, 9000, 30_000, MINUTE_MS, 6 * MINUTE_MS])
        kind = rng.random()
        if kind < 0.1:
            told.append((at_ms, None))
        elif kind < 0.2 and len(told) > 1:
            told.append((at_ms - rng.choice([0, 0, 7500]), rng.choice(told[1:])[1]))
        else:
            rows = rng.choice([random_samples, random_samples, random_lines])(rng, at_ms, rng.choice([1, 3, 20]))
            told.append((at_ms, frame(*rows, sequence=number, source=rng.choice("ab"))))
    return inputs([*told, (at_ms + 5000, None)])


@pytest.mark.parametrize("seed", range(60))
def test_it_holds_and_says_what_the_oracle_does(seed: int) -> None:
    records = random_records(seed)
    rng = random.Random(seed)
    cuts = rng.sample(range(len(records)), rng.randrange(len(records)))
    partition = Partition().feed(records, cuts, reopen=[cut for cut in cuts if rng.random() < 0.3])
    oracle = Oracle(HealthPolicy(rules=RULES)).feed(records)
    assert not partition.refused
    assert sorted(partition.said) == sorted(oracle.said)
    assert portrait(partition.opened.state) == oracle.portrait()
    assert partition.opened.state.counters == dict(+oracle.counters)
    assert +partition.passed_over == +oracle.counters
    assert portrait(partition.open().state) == oracle.portrait(), "and so it does when it is restored"

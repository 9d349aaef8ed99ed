"""The vectorised step against the naive one: whatever comes, they say and hold the same."""

from __future__ import annotations

import random

import pytest

from tests.streams.rates.oracle import Oracle
from tests.streams.rates.story import MINUTE_MS, T0, Partition, decoded, encoded, event, inputs, portrait, random_rows


def random_records(seed: int, records: int = 24):
    rng = random.Random(seed)
    at_ms, told = T0, []
    for number in range(records):
        at_ms += rng.choice([0, 1, 300, 999, 1000, 1001, 5000, 30_000, MINUTE_MS, 6 * MINUTE_MS])
        kind = rng.random()
        if kind < 0.1:
            told.append((at_ms, None))
        elif kind < 0.2 and told:
            told.append((at_ms - rng.choice([0, 0, 1500]), rng.choice(told)[1]))
        else:
            rows = random_rows(rng, at_ms, rng.choice([1, 3, 20]))
            told.append((at_ms, decoded(encoded(rows, number, rng.choice("ab")))))
    return inputs([*told, (at_ms + 1000, None)])


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
    assert portrait(partition.open().state) == oracle.portrait(), "and so it does when it is restored"

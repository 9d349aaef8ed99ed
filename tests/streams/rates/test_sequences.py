"""A source's frames: each is taken once, in whatever order they come."""

from __future__ import annotations

import random

import pytest

from streams.rates import sequences
from streams.rates.sequences import MAX_EPOCHS, MAX_HOLES, MAX_SOURCES, Lane, Sequences


@pytest.mark.parametrize("seed", range(10))
def test_each_is_taken_once_whatever_the_order(seed: int) -> None:
    rng = random.Random(seed)
    sent = [*range(40), *rng.choices(range(40), k=20)]
    rng.shuffle(sent)
    lane, seen = Lane(1), set()
    for sequence in sent:
        assert lane.see(sequence) == (sequence not in seen)
        seen.add(sequence)
        assert lane.missing == lane.next_sequence - len(seen)
    assert (lane.next_sequence, lane.holes, lane.missing) == (40, [], 0)


def test_of_many_holes_the_oldest_are_given_up() -> None:
    lane = Lane(1)
    for sequence in range(1, 4 * MAX_HOLES, 2):
        assert lane.see(sequence)
    assert len(lane.holes) == MAX_HOLES
    assert not lane.see(0), "what comes so late can be told from no repeat"
    assert lane.see(lane.holes[0][0])


def test_the_newest_epochs_stay_open() -> None:
    lanes = Sequences()
    assert all(lanes.see("s", epoch, 0) for epoch in range(1, MAX_EPOCHS + 2))
    assert not lanes.see("s", 1, 1), "closed"
    assert lanes.see("s", 2, 1), "spooled before the source began anew"
    assert not lanes.see("s", 2, 1)
    assert not lanes.see("s", 3, -1), "no number"


def test_the_source_heard_longest_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "MAX_SOURCES", 2)
    assert MAX_SOURCES > 2
    lanes = Sequences()
    for source in "abac":
        lanes.see(source, 1, lanes.missing)
    assert list(lanes.by_source) == ["a", "c"]
    again = Sequences()
    again.restore(lanes.touched())
    assert list(again.by_source) == ["a", "c"]
    assert not again.see("a", 1, 0)
    assert lanes.touched() == {}

"""The index does what a dict would, for all keys at once."""

from __future__ import annotations

import random

import numpy as np
import pytest

from streams.rates.index import Index


def ints(values: object) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize("seed", range(8))
def test_it_does_what_a_dict_would(seed: int) -> None:
    rng = random.Random(seed)
    index, expected = Index(64), {}
    for _ in range(200):
        wanted = ints(sorted({rng.randrange(1 << rng.choice([6, 62])) for _ in range(rng.randrange(1, 12))}))
        found = index.find(wanted)
        assert found.tolist() == [expected.get(key, -1) for key in wanted.tolist()]
        new = wanted[found < 0]
        given = zip(new.tolist(), index.insert(new).tolist(), strict=True)
        expected |= {key: slot for key, slot in given if slot >= 0}
        if rng.random() < 0.5 and expected:
            gone = rng.sample(sorted(expected), rng.randrange(1, len(expected) + 1))
            index.remove(ints([expected.pop(key) for key in gone]))
        assert len(index) == len(expected) == len(set(expected.values()))
        assert sorted(index.slots().tolist()) == sorted(expected.values())
        if rng.random() < 0.2:
            kept, index = index.keys, Index(64)
            for first in range(0, len(kept), 16):
                index.restore(first, kept[first : first + 16])


def test_a_full_index_gives_no_slots() -> None:
    index = Index(4)
    assert index.insert(ints([7, 8, 9])).tolist() == [0, 1, 2]
    assert index.insert(ints([5, 6])).tolist() == [3, -1]
    index.remove(ints([1]))
    assert index.insert(ints([6])).tolist() == [1]
    assert index.key_of(ints([1, 0])).tolist() == [6, 7]


def test_keys_that_want_the_same_place_all_get_one() -> None:
    index = Index(1 << 10)
    many = np.arange(1 << 10)
    assert sorted(index.insert(many).tolist()) == many.tolist()
    assert (index.key_of(index.find(many)) == many).all()

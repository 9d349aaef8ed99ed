"""Packed integers come back, in few bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.rates.packing import pack, unpack


@given(st.lists(st.integers(-(2**61), 2**61), max_size=20))
def test_integers_come_back(values: list[int]) -> None:
    assert unpack(pack(np.array(values, dtype=np.int64))).tolist() == values


@pytest.mark.parametrize(
    ("values", "kind", "bytes_each"),
    [
        ([5, 260], np.int64, 1),
        ([5, 261], np.int64, 2),
        ([0, 1 << 16], np.uint32, 4),
        ([0, 1 << 40], np.int64, 8),
        ([-1, 1 << 40], np.int64, 8),
        ([3, 250], np.uint8, 1),
    ],
)
def test_they_are_as_narrow_as_they_can_be(values: list[int], kind: type, bytes_each: int) -> None:
    packed = pack(np.array(values, dtype=kind))
    assert len(packed) == 9 + bytes_each * len(values)
    assert unpack(packed).tolist() == values

"""How long a cluster waits for its own share."""

from __future__ import annotations

import pytest

from collectors.kubernetes.shares import Bucket


@pytest.mark.parametrize(
    ("takes", "waits"),
    [
        ([(0, 10)], [0]),
        ([(0, 10), (0, 5)], [0, 1]),
        ([(0, 10), (0, 5), (0, 5)], [0, 1, 2]),
        ([(0, 10), (1, 5)], [0, 0]),
        ([(0, 10), (1, 6)], [0, 0.2]),
        ([(0, 4), (100, 11)], [0, 0.2]),
        ([(0, 1_000)], [198]),
    ],
    ids=["burst", "beyond", "waits-add-up", "refilled", "in-part", "never-above-burst", "larger-than-burst"],
)
def test_a_bucket_lets_pass_its_burst_and_then_its_rate(takes: list[tuple[float, float]], waits: list[float]) -> None:
    bucket = Bucket(per_second=5, burst=10)
    assert [bucket.take(amount, now) for now, amount in takes] == pytest.approx(waits)

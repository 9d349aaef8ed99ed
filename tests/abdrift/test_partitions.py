"""Partitions are Kafka's own: known hashes of its Java clients."""

from __future__ import annotations

import pytest

from abdrift.partitions import FLEET_SCOPE, murmur2, partition_of

# As Kafka's own UtilsTest gives them: signed integers.
VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("data", "signed"), VECTORS.items(), ids=[data.decode() for data in VECTORS])
def test_murmur2_is_that_of_kafkas_java_clients(data: bytes, signed: int) -> None:
    assert murmur2(data) == signed % 2**32


@pytest.mark.parametrize("partitions", [1, 3, 64])
def test_a_partition_is_the_positive_hash_modulo_their_number(partitions: int) -> None:
    for data, signed in VECTORS.items():
        assert partition_of(data.decode(), partitions) == (signed & 0x7FFFFFFF) % partitions


def test_clusters_spread_and_scopes_are_hashed_as_they_are_written() -> None:
    assert len({partition_of(f"edge-{n:04}", 64) for n in range(1_000)}) == 64
    assert partition_of("münchen", 64) == (murmur2("münchen".encode()) & 0x7FFFFFFF) % 64
    assert 0 <= partition_of(FLEET_SCOPE, 64) < 64

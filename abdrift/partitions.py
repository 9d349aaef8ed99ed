"""Which partition a cluster's records go to, on every topic alike.

The hash is the one Kafka's Java clients use for keys (murmur2, seed 0x9747b28c), so that a Java consumer or Kafka
Streams application that keys by cluster name finds its records where ours put them. librdkafka hashes with CRC32
unless it is told `partitioner=murmur2_random`.
"""

from functools import lru_cache

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF

FLEET_SCOPE = "fleet"
"""The scope by which records that belong to no cluster are placed."""


def murmur2(data: bytes) -> int:
    """Return Kafka's 32-bit murmur2 of the bytes, unsigned.

    Source: org.apache.kafka.common.utils.Utils#murmur2.
    """
    length = len(data)
    h = (_SEED ^ length) & _MASK
    whole = length - length % 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = (k * _M) & _MASK
        k ^= k >> 24
        k = (k * _M) & _MASK
        h = (h * _M) & _MASK
        h ^= k
    if tail := data[whole:]:
        h ^= int.from_bytes(tail, "little")
        h = (h * _M) & _MASK
    h ^= h >> 13
    h = (h * _M) & _MASK
    h ^= h >> 15
    return h


@lru_cache(maxsize=65_536)
def partition_of(scope: str, partitions: int) -> int:
    """Return the partition of a cluster (or of a scope such as `FLEET_SCOPE`) among `partitions`."""
    return (murmur2(scope.encode()) & 0x7FFFFFFF) % partitions

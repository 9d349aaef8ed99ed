"""One number for what is counted: cluster, namespace, workload and minute, side by side in 63 bits.

A minute stands by its low bits, which tell half a year's minutes apart; which half-year is told by the append time.
"""

from typing import Final

from streams.rates.packing import Ints

MINUTE_MS: Final = 60_000
CLUSTER_BITS: Final = 12
NAMESPACE_BITS: Final = 13
WORKLOAD_BITS: Final = 20
MINUTE_BITS: Final = 18
MINUTES: Final = 1 << MINUTE_BITS

assert CLUSTER_BITS + NAMESPACE_BITS + WORKLOAD_BITS + MINUTE_BITS <= 63, "keys are 64-bit integers, 0 or more"  # noqa: PLR2004  their bits


def place(clusters: Ints, namespaces: Ints) -> Ints:
    """Return keys of namespaces in clusters."""
    return clusters << NAMESPACE_BITS | namespaces


def workload(places: Ints, workloads: Ints) -> Ints:
    """Return keys of workloads in places."""
    return places << WORKLOAD_BITS | workloads


def moment(of_workloads: Ints, minutes: Ints) -> Ints:
    """Return keys of workloads' minutes."""
    return of_workloads << MINUTE_BITS | (minutes & (MINUTES - 1))


def minutes(moments: Ints, newest: int) -> Ints:
    """Return the minutes of such keys, none of them after `newest` nor half a year before it."""
    return newest - ((newest - moments) & (MINUTES - 1))


def workloads_of(moments: Ints) -> Ints:
    """Return the workloads' keys of moments' keys."""
    return moments >> MINUTE_BITS


def cluster_of_place(places: Ints) -> Ints:
    """Return the clusters' numbers."""
    return places >> NAMESPACE_BITS


def namespace_of_place(places: Ints) -> Ints:
    """Return the namespaces' numbers."""
    return places & ((1 << NAMESPACE_BITS) - 1)


def place_of(of_workloads: Ints) -> Ints:
    """Return the places' keys of workloads' keys."""
    return of_workloads >> WORKLOAD_BITS


def cluster_of(of_workloads: Ints) -> Ints:
    """Return the clusters' numbers of workloads' keys."""
    return of_workloads >> (WORKLOAD_BITS + NAMESPACE_BITS)


def label_of(of_workloads: Ints) -> Ints:
    """Return the workloads' labels' numbers."""
    return of_workloads & ((1 << WORKLOAD_BITS) - 1)

"""Sums by key: what a run of frames adds up to. They add up further, in any order, to the same."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from streams.rates import keys
from streams.rates.packing import Ints, pack, unpack

_NONE = np.zeros(0, dtype=np.int64)
_EACH_SAMPLED: Final = 64
"""One of so many keys tells where to part them."""

PartT = TypeVar("PartT", "Places", "Moments", "Heard")

STAMP_BITS: Final = 16
STAMP_MASK: Final = (1 << STAMP_BITS) - 1
"""A Warning's stamp is its event time with the tag of its reason below it, so that the newest has the largest."""


def grouped(by: Ints) -> tuple[Ints, Ints]:
    """Return the order that sorts these keys, and where in that order each one's group begins."""
    order = np.argsort(by)
    ascending = by[order]
    begins = np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]])) if len(by) else _NONE
    return order, begins


class Places(msgspec.Struct, frozen=True):
    """By place (cluster and namespace), ascending: the sums of `count`, of all rows and of Warnings."""

    keys: Ints = _NONE
    events: Ints = _NONE
    warnings: Ints = _NONE


class Moments(msgspec.Struct, frozen=True):
    """By workload and minute, ascending: the sum of Warnings, and the newest Warning's stamp (see `stamps`)."""

    keys: Ints = _NONE
    warnings: Ints = _NONE
    stamps: Ints = _NONE


class Heard(msgspec.Struct, frozen=True):
    """By cluster's number, ascending: when it was heard, and what of its event times. 0 where there was no Warning."""

    clusters: Ints = _NONE
    heard_ms: Ints = _NONE
    """Append time of the newest beat with any row."""
    warned_ms: Ints = _NONE
    """Append time of the newest beat with a Warning."""
    event_ms: Ints = _NONE
    """Event time of the newest Warning."""
    ahead: Ints = _NONE
    """Warnings whose event time lay so far after their append time that it was set back."""


class Sums(msgspec.Struct, frozen=True):
    """What a run of frames adds up to."""

    places: Places = Places()
    moments: Moments = Moments()
    heard: Heard = Heard()
    refused: dict[str, int] = {}
    """Rows that were not counted, by reason."""


def places_of(places: Ints, events: Ints, warnings: Ints) -> Places:
    """Add up by place. Keys may come in any order and repeat."""
    if not len(places):
        return Places()
    order, begins = grouped(places)
    return Places(
        places[order[begins]], np.add.reduceat(events[order], begins), np.add.reduceat(warnings[order], begins)
    )


def moments_of(moments: Ints, warnings: Ints, stamps: Ints) -> Moments:
    """Add up by workload and minute. Keys may come in any order and repeat."""
    if not len(moments):
        return Moments()
    order, begins = grouped(moments)
    return Moments(
        moments[order[begins]],
        np.add.reduceat(warnings.take(order), begins),
        np.maximum.reduceat(stamps.take(order), begins),
    )


def heard_of(clusters: Ints, heard_ms: Ints, warned_ms: Ints, event_ms: Ints, ahead: Ints) -> Heard:
    """Put together by cluster. Clusters may come in any order and repeat."""
    if not len(clusters):
        return Heard()
    order, begins = grouped(clusters)
    return Heard(
        clusters[order[begins]],
        np.maximum.reduceat(heard_ms[order], begins),
        np.maximum.reduceat(warned_ms[order], begins),
        np.maximum.reduceat(event_ms[order], begins),
        np.add.reduceat(ahead[order], begins),
    )


def chosen(part: PartT, rows: slice | npt.NDArray[np.bool_]) -> PartT:
    """Return some rows of one kind of sums."""
    return type(part)(*(column[rows] for column in arrays(part)))


def added(runs: Sequence[Sums]) -> Sums:
    """Return the sums of several runs together."""
    if len(runs) == 1:
        return runs[0]
    refused: dict[str, int] = {}
    for run in runs:
        for reason, count in run.refused.items():
            refused[reason] = refused.get(reason, 0) + count
    return Sums(
        places_added([run.places for run in runs]),
        moments_of(*_columns([run.moments for run in runs])),
        heard_added([run.heard for run in runs]),
        refused,
    )


def places_added(runs: Sequence[Places]) -> Places:
    """Return several runs' sums by place together."""
    return places_of(*_columns(runs)) if runs else Places()


def heard_added(runs: Sequence[Heard]) -> Heard:
    """Return together what several runs heard."""
    return heard_of(*_columns(runs)) if runs else Heard()


def moments_in_parts(runs: Sequence[Moments], size: int) -> Iterator[Moments]:
    """Yield several runs' sums by workload and minute together, ascending, some `size` keys of the runs at a time.

    So many as the processor's cache holds are sorted and worked on for a fraction of what all at once would take. A
    workload's minutes are never parted.
    """
    sampled = min(size, _EACH_SAMPLED)
    sample = np.sort(np.concatenate([run.keys[::sampled] for run in runs])) if runs else _NONE
    after = keys.workloads_of(sample[size // sampled :: size // sampled])
    bounds = keys.moment(np.unique(after), np.zeros(1, dtype=np.int64))
    cuts = [[0, *np.searchsorted(run.keys, bounds).tolist(), len(run.keys)] for run in runs]
    for part in range(len(bounds) + 1):
        some = [chosen(run, slice(*at[part : part + 2])) for run, at in zip(runs, cuts, strict=True)]
        some = [one for one in some if len(one.keys)]
        if some:
            yield some[0] if len(some) == 1 else moments_of(*_columns(some))


class Packed(msgspec.Struct, frozen=True, array_like=True):
    """Sums as bytes."""

    places: tuple[bytes, ...]
    moments: tuple[bytes, ...]
    heard: tuple[bytes, ...]
    refused: dict[str, int]


def packed(sums: Sums) -> Packed:
    """Return the sums as bytes: a moment's key by its parts, of which most are the same or small."""
    moments = sums.moments
    split = (
        keys.cluster_of(keys.workloads_of(moments.keys)),
        keys.namespace_of_place(keys.place_of(keys.workloads_of(moments.keys))),
        keys.label_of(keys.workloads_of(moments.keys)),
        moments.keys & (keys.MINUTES - 1),
        moments.warnings,
        moments.stamps >> STAMP_BITS,
        moments.stamps & STAMP_MASK,
    )
    return Packed(
        tuple(map(pack, arrays(sums.places))),
        tuple(map(pack, split)),
        tuple(map(pack, arrays(sums.heard))),
        dict(sums.refused),
    )


def unpacked(taken: Packed) -> Sums:
    """Return the sums that `packed` took."""
    cluster, namespace, label, minute, warnings, ms, tag = map(unpack, taken.moments)
    moments = keys.moment(keys.workload(keys.place(cluster, namespace), label), minute)
    return Sums(
        Places(*map(unpack, taken.places)),
        Moments(moments, warnings, ms << STAMP_BITS | tag),
        Heard(*map(unpack, taken.heard)),
        taken.refused,
    )


def arrays(struct: Places | Moments | Heard) -> list[Ints]:
    """Return the columns of one kind of sums."""
    return [getattr(struct, name) for name in struct.__struct_fields__]


def _columns(structs: Sequence[PartT]) -> list[Ints]:
    """Return the structs' arrays, field by field, each put end to end."""
    return [np.concatenate(same) for same in zip(*map(arrays, structs), strict=True)]

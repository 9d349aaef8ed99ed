"""Slots by key: a hash table whose every step takes all keys at once.

Open addressing with linear probing. A key's slot is where the arrays of `windows` and `state` keep what is known of
it; slots are given out from the lowest on, and given again once they are free.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streams.rates.packing import Ints

_FIBONACCI: Final = np.uint64(0x9E3779B97F4A7C15)
_LEAST_SLOTS: Final = 1 << 10
_NO_KEYS: Final = np.zeros(0, dtype=np.int64)
_EMPTY: Final = 0
_DELETED: Final = -1


class Index:
    """Which slot each key has. Keys are 0 or more; a slot without one holds -1 in `keys`."""

    def __init__(self, capacity: int) -> None:
        """`capacity` is the number of slots, a power of two."""
        assert capacity > 0, "an index has slots"
        assert not capacity & (capacity - 1), "the number of slots is a power of two"
        self.capacity = capacity
        self.used = 0
        """Slots below this one have had a key."""
        self._keys_plus_one: Ints = _NO_KEYS
        self._places: npt.NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._size(min(capacity, _LEAST_SLOTS))
        self._free = _NO_KEYS
        self._deleted = 0

    def __len__(self) -> int:
        return self.used - len(self._free)

    @property
    def keys(self) -> Ints:
        """By slot, of the slots that have had one: its key, -1 where it is free."""
        return self._keys_plus_one[: self.used] - 1

    def key_of(self, slots: Ints) -> Ints:
        """Return the keys of slots that have one."""
        found: Ints = self._keys_plus_one[slots] - 1
        return found

    def slots(self) -> Ints:
        """Return the slots that have a key, ascending."""
        return np.flatnonzero(self._keys_plus_one[: self.used])

    def find(self, keys: Ints) -> Ints:
        """Return the slot of each key, -1 where it has none. Keys may repeat."""
        return self._probe(keys)[0]

    def insert(self, keys: Ints) -> Ints:
        """Give slots to keys that have none and return them; -1 for the last ones where there is no room.

        Args:
            keys: Each once, none of them here.

        """
        self._reserve(len(self) + len(keys))
        slots = self._take(len(keys))
        kept = keys[: len(slots)]
        self._keys_plus_one[slots] = kept + 1
        self._place(kept, slots)
        return np.concatenate([slots, np.full(len(keys) - len(slots), -1)])

    def remove(self, slots: Ints) -> None:
        """Free slots that have a key."""
        _, at = self._probe(self.key_of(slots))
        self._places[at] = _DELETED
        self._keys_plus_one[slots] = 0
        self._free = np.sort(np.concatenate([self._free, slots]))
        self._deleted += len(slots)
        if self._deleted > len(self._places) // 4:
            self._place_all()

    def restore(self, first: int, keys: Ints) -> None:
        """Take the keys of the slots from `first` on, -1 where a slot is free, as `keys` gave them; ascending."""
        self._reserve(first + len(keys))
        self.used = first + len(keys)
        self._keys_plus_one[first : self.used] = keys + 1
        self._free = np.concatenate([self._free, first + np.flatnonzero(keys < 0)])
        there = np.flatnonzero(keys >= 0)
        self._place(keys[there], first + there)

    def _take(self, count: int) -> Ints:
        again = self._free[:count]
        self._free = self._free[count:]
        fresh = np.arange(self.used, min(self.used + count - len(again), len(self._keys_plus_one)))
        self.used += len(fresh)
        return np.concatenate([again, fresh])

    def _hash(self, keys: Ints) -> Ints:
        with np.errstate(over="ignore"):
            hashed: Any = (keys.view(np.uint64) * _FIBONACCI) >> self._shift
        return np.asarray(hashed.view(np.int64), dtype=np.int64)

    def _probe(self, keys: Ints) -> tuple[Ints, Ints]:
        """Return each key's slot, -1 where it has none, and where that stands in the table."""
        keys = np.ascontiguousarray(keys, dtype=np.int64)
        at = self._hash(keys)
        found = np.full(len(keys), -1, dtype=np.int64)
        left = np.arange(len(keys))
        while len(left):
            there = self._places[at[left]]
            same = (there > _EMPTY) & (self._keys_plus_one[there - 1] == keys[left] + 1)
            found[left[same]] = there[same] - 1
            left = left[(there != _EMPTY) & ~same]
            at[left] = (at[left] + 1) & (len(self._places) - 1)
        return found, at

    def _place(self, keys: Ints, slots: Ints) -> None:
        at = self._hash(np.ascontiguousarray(keys, dtype=np.int64))
        left = np.arange(len(keys))
        while len(left):
            wanted = at[left]
            free = self._places[wanted] <= _EMPTY
            # Where several want one place, the last written has it and the others go on.
            self._places[wanted[free]] = slots[left[free]] + 1
            left = left[self._places[wanted] != slots[left] + 1]
            at[left] = (at[left] + 1) & (len(self._places) - 1)

    def _reserve(self, slots: int) -> None:
        """Have room for so many slots, as far as there may be."""
        size = len(self._keys_plus_one)
        while size < min(slots, self.capacity):
            size *= 2
        if size > len(self._keys_plus_one):
            self._size(size)

    def _size(self, slots: int) -> None:
        keys = np.zeros(slots, dtype=np.int64)
        keys[: self.used] = self._keys_plus_one[: self.used]
        self._keys_plus_one = keys
        self._places = np.zeros(2 * slots, dtype=np.int32)
        self._shift = np.uint64(64 - (2 * slots - 1).bit_length())
        self._place_all()

    def _place_all(self) -> None:
        self._places[:] = _EMPTY
        self._deleted = 0
        slots = self.slots()
        self._place(self.key_of(slots), slots)

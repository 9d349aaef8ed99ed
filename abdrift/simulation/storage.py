"""What one simulated cluster stores: objects as JSON text by kind, and a bounded log of changes for watches.

Objects are kept as bytes: an object of two kilobytes would be ten as Python values, and lists and watches then only
join text. Nothing here knows what the objects mean.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from abdrift.simulation.kinds import Kind
from abdrift.simulation.objects import Object, labels_of, name_of, namespace_of

LOG_CHANGES_PER_KIND = 4_000
"""How many changes of a kind a watch can resume over before it is told 410 Gone."""

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """An object at one version."""

    key: Key
    version: int
    labels: dict[str, str]
    raw: bytes

    def value(self) -> Object:
        """Give a copy of the object, the caller's own."""
        decoded: Object = orjson.loads(self.raw)
        return decoded


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One step of a kind's history; `old` is None when the object came, `new` when it went."""

    version: int
    old: Stored | None
    new: Stored | None
    gone: bytes = b""
    """The last state under the version of its deletion."""


Listener = Callable[[Kind, Change], None]


@dataclass(slots=True, eq=False)
class Shelf:
    """The objects of one kind, and their recent history."""

    objects: dict[Key, Stored] = field(default_factory=dict)
    log: list[Change] = field(default_factory=list)
    dropped: int = 0
    """Changes that have left the log."""
    wakers: set[asyncio.Event] = field(default_factory=set)

    def append(self, change: Change) -> int:
        """Log a change; the version of the newest change that had to leave, or 0."""
        self.log.append(change)
        forgotten = 0
        if len(self.log) > 2 * LOG_CHANGES_PER_KIND:
            forgotten = self.log[LOG_CHANGES_PER_KIND - 1].version
            self.forget(LOG_CHANGES_PER_KIND)
        for waker in self.wakers:
            waker.set()
        return forgotten

    def forget(self, count: int) -> None:
        """Drop the oldest changes."""
        del self.log[:count]
        self.dropped += count

    def position_after(self, version: int) -> int:
        """Where a watch that has seen `version` goes on: an index that counts dropped changes too."""
        low, high = 0, len(self.log)
        while low < high:
            middle = (low + high) // 2
            if self.log[middle].version <= version:
                low = middle + 1
            else:
                high = middle
        return self.dropped + low


class Store:
    """One cluster's etcd. Versions count up over all kinds."""

    def __init__(self, first_version: int = 1_000) -> None:
        self.version = first_version
        self._shelves: dict[Kind, Shelf] = {}
        self._oldest: dict[Kind, int] = {}
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call back on every change, before the writer goes on."""
        self._listeners.append(listener)

    def shelf(self, kind: Kind) -> Shelf:
        """Give the objects of a kind."""
        return self._shelves.setdefault(kind, Shelf())

    def get(self, kind: Kind, key: Key) -> Stored | None:
        """One object, None if there is none."""
        return self.shelf(kind).objects.get(key)

    def all(self, kind: Kind, namespace: str = "") -> Iterator[Stored]:
        """Objects of a kind in the order of their keys."""
        objects = self.shelf(kind).objects
        for key in sorted(objects):
            if not namespace or key[0] == namespace:
                yield objects[key]

    def put(self, kind: Kind, obj: Object) -> Object:
        """Store an object under the next version; the object as stored."""
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        key = (namespace_of(obj), name_of(obj))
        stored = Stored(key, self.version, labels_of(obj), orjson.dumps(obj))
        shelf = self.shelf(kind)
        old = shelf.objects.get(key)
        shelf.objects[key] = stored
        self._log(kind, shelf, Change(self.version, old, stored))
        return obj

    def remove(self, kind: Kind, key: Key) -> Object:
        """Remove an object; its last state under the version of the removal."""
        self.version += 1
        shelf = self.shelf(kind)
        old = shelf.objects.pop(key)
        last = old.value()
        last["metadata"]["resourceVersion"] = str(self.version)
        self._log(kind, shelf, Change(self.version, old, None, orjson.dumps(last)))
        return last

    def _log(self, kind: Kind, shelf: Shelf, change: Change) -> None:
        forgotten = shelf.append(change)
        if forgotten:
            self._oldest[kind] = forgotten
        for listener in self._listeners:
            listener(kind, change)

    def oldest_version(self, kind: Kind) -> int:
        """Watches from before this version are answered with 410 Gone."""
        return self._oldest.get(kind, 0)

    def compact(self) -> None:
        """Forget all history, as etcd's compaction does; open watches that have not caught up are cut off."""
        self.version += 1
        for kind, shelf in self._shelves.items():
            shelf.forget(len(shelf.log))
            self._oldest[kind] = self.version


def text(value: Any) -> bytes:
    """JSON text."""
    return orjson.dumps(value)

"""A step's scratch copy of its state: reads fall through to the committed cells, writes stay here until returned.

This keeps a step pure without copying its whole state: the mapping it was given is never touched.
"""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

CellT = TypeVar("CellT")
SomeT = TypeVar("SomeT")


class Overlay(Generic[CellT]):
    """What a batch has changed so far, over the cells it began with."""

    def __init__(self, base: Mapping[str, CellT]) -> None:
        self._base = base
        self.changed: dict[str, CellT | None] = {}

    def get(self, key: str, kind: type[SomeT]) -> SomeT | None:
        """Return the cell of that kind at the key, or None where there is none."""
        cell = self.changed[key] if key in self.changed else self._base.get(key)
        return cell if isinstance(cell, kind) else None

    def each(self, kind: type[SomeT]) -> Iterator[tuple[str, SomeT]]:
        """Yield the cells of a kind as they are now, by key. Nothing may be put meanwhile."""
        for key, cell in self._base.items():
            if key not in self.changed and isinstance(cell, kind):
                yield key, cell
        for key, new in self.changed.items():
            if isinstance(new, kind):
                yield key, new

    def put(self, key: str, cell: CellT) -> None:
        """Set a cell."""
        if self._base.get(key) == cell:
            self.changed.pop(key, None)
        else:
            self.changed[key] = cell

    def drop(self, key: str) -> None:
        """Delete a cell."""
        if key in self._base:
            self.changed[key] = None
        else:
            self.changed.pop(key, None)

"""What changed since a version: one dictionary in the order of the newest change of each key."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class Versions(Generic[K]):
    """Counts changes up, and knows of each key by which one it changed last. Holds as much as there are keys."""

    now: int = 0
    _at: dict[K, int] = field(default_factory=dict)

    def touch(self, key: K) -> None:
        """Have a key change now."""
        self.now += 1
        # Taken out first, so that the dictionary stays in the order of the changes.
        self._at.pop(key, None)
        self._at[key] = self.now

    def drop(self, key: K) -> int:
        """Know nothing of a key any more; return when it had changed."""
        return self._at.pop(key, 0)

    def since(self, version: int) -> Iterator[K]:
        """Yield the keys that changed after a version, newest first; in time of their number."""
        for key in reversed(self._at):
            if self._at[key] <= version:
                return
            yield key

"""What the Python peers share: how far they are, and where they leave their counts. Standard library only."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path

MINUTE_MS = 60_000
_EVERY_SECONDS = 0.1
_LOOK_EVERY = 100


class Counting:
    """One run's progress."""

    def __init__(self, wanted: int, folder: str) -> None:
        self.wanted = wanted
        self.folder = Path(folder)
        self.rows = 0
        self._looked = 0
        self._told_seconds = 0.0

    def add(self, more: int) -> bool:
        """Count rows, tell of them ten times a second, and return whether they were the last ones."""
        self.rows += more
        last = self.rows >= self.wanted
        if not last and self.rows - self._looked < _LOOK_EVERY:
            return False
        self._looked = self.rows
        now_seconds = time.monotonic()
        if last or now_seconds - self._told_seconds >= _EVERY_SECONDS:
            self._told_seconds = now_seconds
            sys.stdout.write(f'{{"rows":{self.rows}}}\n')
            sys.stdout.flush()
        return last

    def write(self, totals: Iterable[tuple[str, int]], warnings: Iterable[tuple[str, int]]) -> None:
        """Leave counts by key, the key's parts joined by tabs."""
        for name, counts in (("totals.tsv", totals), ("warnings.tsv", warnings)):
            with (self.folder / name).open("w") as file:
                file.writelines(f"{key}\t{count}\n" for key, count in counts)

    @staticmethod
    def done() -> None:
        """Tell that the counts are written."""
        sys.stdout.write('{"done":true}\n')
        sys.stdout.flush()


def of_object(data: dict[str, object], last_ms: int) -> str:
    """Return the part of a Warning's key that follows the cluster and the namespace."""
    return f"{data['object_kind']}\t{data['object_name']}\t{last_ms // MINUTE_MS}"

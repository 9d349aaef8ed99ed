"""A partition of an opened step as the engine keeps it, for the tests of such steps: cells in, cells out."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from streams.step import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from streams.step import Input, Outgoing, Refused


class KeptPartition:
    """What the step has written so far, and all that it has said."""

    def __init__(self, open_anew: Callable[[dict[str, bytes]], Any], projected: Callable[[Input], Input]) -> None:
        """`projected` returns a record as the engine decodes it for the step."""
        self.cells: dict[str, bytes] = {}
        self.facts: list[Outgoing] = []
        self.refused: list[Refused] = []
        self.passed_over: Counter[str] = Counter()
        self._open_anew = open_anew
        self._projected = projected
        self.opened = self.open()

    def open(self) -> Any:
        return self._open_anew(self.cells)

    def feed(self, records: Sequence[Input], cuts: Iterable[int] = (), reopen: Iterable[int] = ()) -> Self:
        """Take records in batches cut before these, and open the state anew before some of them."""
        bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(records)}), len(records)]
        for start, stop in itertools.pairwise(bounds):
            if start in reopen:
                self.opened = self.open()
            result = self.opened.process(Batch(0, 1, [self._projected(one) for one in records[start:stop]]))
            for key, value in result.staged:
                assert key not in self.cells, "a staged cell replaces none"
                assert len(value) <= 256 * 1024
                self.cells[key] = value
            for key, cell in result.cells.items():
                if cell is None:
                    del self.cells[key]
                else:
                    self.cells[key] = cell
            self.facts += result.facts
            self.refused += result.refused
            self.passed_over.update(result.passed_over)
        return self

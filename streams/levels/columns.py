"""Text columns of one frame by their dictionary codes, and what combinations of codes its rows have."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streams.rates.packing import Ints

_DENSE: Final = 16
"""So many combinations a row are told apart by a table; more are sorted out."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text column: its words, and each row's code."""

    words: pa.Array
    codes: npt.NDArray[Any]

    @classmethod
    def of(cls, column: pa.Array) -> "Text":
        """Return a frame's column."""
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        return cls(encoded.dictionary, np.asarray(encoded.indices))

    def __len__(self) -> int:
        return len(self.words)

    def listed(self) -> list[str]:
        """Return the words by code."""
        words: list[str] = self.words.to_pylist()
        return words

    def some(self, rows: Ints) -> "Text":
        """Return the column of just these rows, with just their words."""
        taken = self.codes[rows]
        needed, codes = distinct(taken, len(self))
        return Text(self.words.take(pa.array(needed)), codes)


def distinct(codes: Ints, size: int) -> tuple[Ints, Ints]:
    """Return which codes below `size` there are, ascending, and for each row the place of its own among them."""
    if size > _DENSE * len(codes):
        found, places = np.unique(codes, return_inverse=True)
        return found, places
    there = np.zeros(size, dtype=bool)
    there[codes] = True
    found = np.flatnonzero(there)
    places = np.zeros(size, dtype=np.int64)
    places[found] = np.arange(len(found))
    return found, places[codes]

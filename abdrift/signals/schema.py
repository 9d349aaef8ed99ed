"""How a signal's columns are declared."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

TEXT = pa.dictionary(pa.int32(), pa.utf8())
"""A repetitive text column: dictionary-encoded, its indices narrowed to what fits when a frame is encoded."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. A frame without a required column is bad; an optional one reads as `default`."""

    name: str
    type: pa.DataType
    required: bool = True
    default: Any = None


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal: its name, the version this code writes, and its columns in order."""

    name: str
    version: int
    columns: tuple[Column, ...]
    event_time_column: str

    def column(self, name: str) -> Column:
        """Return a column by name.

        Raises:
            KeyError: there is no such column.

        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

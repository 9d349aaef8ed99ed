"""How a signal's columns are declared."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # a small agent writes frames without it
    import pyarrow as pa


class Type(StrEnum):
    """What a column holds, in Arrow's words."""

    TEXT = "text"
    """Repetitive text: dictionary-encoded, its indices narrowed to what fits when a frame is encoded."""
    UTF8 = "utf8"
    BINARY = "binary"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT64 = "float64"
    BOOL = "bool"


TEXT = Type.TEXT


@dataclass(frozen=True, slots=True)
class Column:
    """One column. A frame without a required column is bad; an optional one reads as `default`."""

    name: str
    type: Type
    required: bool = True
    default: Any = None
    narrow: bool = False
    """An integer that is sent as its distance from the frame's least, as narrow as that allows."""
    before: str | None = None
    """A column that this one precedes by little: sent as the distance between the two. Implies `narrow`."""
    joint: bool = False
    """Text of which few combinations with the signal's other such columns occur: sent with the same codes as these."""


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


RowT = TypeVar("RowT")


def columns(signal: Signal, rows: Iterable[Any]) -> dict[str, list[Any]]:
    """Return the rows' values by column, as `abdrift.frames.encode` takes them."""
    listed = list(rows)
    return {column.name: [getattr(row, column.name) for row in listed] for column in signal.columns}


def rows(kind: type[RowT], batch: "pa.RecordBatch") -> list[RowT]:
    """Return a decoded frame's rows as structs of that kind, in order."""
    names = batch.schema.names
    values_by_column = [column.to_pylist() for column in batch.columns]
    return [kind(**dict(zip(names, values, strict=True))) for values in zip(*values_by_column, strict=True)]

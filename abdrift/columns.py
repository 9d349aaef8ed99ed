"""A frame's columns: made small before they are sent, and checked and read when they come.

Text is sent as codes into a dictionary of its words. Text columns of which few combinations occur (`Column.joint`) are
sent with the same codes, a word of each for every combination: after the first of them the others compress to next to
nothing, and a reader looks at one for all (`abdrift.joint` names that one). Integers that lie close together are sent
as distances (`abdrift.base` says from what, `abdrift.before` names the column that they precede). All of it stands in
fields' metadata, so that a column is ordinary Arrow for whoever knows nothing of it.

A reader gets a column as it was sent (`Text`, `Numbers`), since adding up needs neither words nor 64-bit integers by
row, or as an Arrow array of the signal's type (`restored`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from abdrift.envelope import BASE, BEFORE, JOINT
from abdrift.signals.schema import Column, Signal, Type

Ints = npt.NDArray[Any]
"""Integers of any type."""

_ARROW: Final[dict[Type, pa.DataType]] = {
    Type.TEXT: pa.dictionary(pa.int32(), pa.utf8()),
    Type.UTF8: pa.utf8(),
    Type.BINARY: pa.binary(),
    Type.INT32: pa.int32(),
    Type.INT64: pa.int64(),
    Type.FLOAT64: pa.float64(),
    Type.BOOL: pa.bool_(),
}
_VALUES: Final = {kind: arrow.value_type if kind is Type.TEXT else arrow for kind, arrow in _ARROW.items()}
_LIMITS: Final = {Type.INT32: (-(1 << 31), (1 << 31) - 1), Type.INT64: (-(1 << 63), (1 << 63) - 1)}
_NARROWEST: Final = ((1 << 8, np.uint8), (1 << 16, np.uint16), (1 << 32, np.uint32))
_MOST_COMBINATIONS: Final = 1 << 8


class BadFrame(ValueError):  # noqa: N818  named as the design names it
    """A record that is no readable frame. `reason` is a stable word for dead letters and metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Text:
    """A text column: words, and by row the code of its word. A word may have several codes."""

    words: pa.Array
    indices: pa.Array
    """The codes, each below the number of words."""
    codes: Ints
    """The same. Joint columns have the very same array."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column of integers: distances from a base."""

    distances: Ints
    base: int = 0
    before: "Numbers | None" = None
    """What the distances, with the base, are to be taken off from."""


Sent: TypeAlias = Text | Numbers | pa.Array
"""A column as it was sent; an Arrow array where it is neither text by codes nor integers."""


def value_type(column: Column) -> pa.DataType:
    """Return what a column's values are, whether or not they stand in a dictionary."""
    return _VALUES[column.type]


def narrow(array: pa.Array) -> pa.Array:
    """Give a dictionary array the narrowest indices that hold its dictionary; return other arrays as they are."""
    if not pa.types.is_dictionary(array.type):
        return array
    size = len(array.dictionary)
    index = pa.uint8() if size <= 1 << 8 else pa.uint16() if size <= 1 << 16 else pa.uint32()
    return pa.DictionaryArray.from_arrays(array.indices.cast(index), array.dictionary)


def made_small(signal: Signal, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch as it is sent: text that is joint with the same codes, narrow integers as distances."""
    arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
    told: dict[str, dict[bytes, bytes]] = {}
    joint = [name for name in arrays if signal.column(name).joint]
    if together := _together([arrays[name] for name in joint]):
        arrays |= zip(joint, together, strict=True)
        told |= {name: {JOINT: joint[0].encode()} for name in joint[1:]}
    for name in arrays:
        column = signal.column(name)
        if column.narrow:
            before = None if column.before is None else batch.column(column.before)
            arrays[name], told[name] = _distances(column, batch.column(name), before)
    fields = [pa.field(name, array.type, metadata=told.get(name)) for name, array in arrays.items()]
    return pa.RecordBatch.from_arrays(list(arrays.values()), schema=pa.schema(fields))


def read(signal: Signal, wanted: Sequence[Column], batch: pa.RecordBatch) -> dict[str, Sent]:
    """Return the columns wanted, in order, as they were sent; unknown ones are dropped, optional ones filled.

    Args:
        signal: What the rows are.
        wanted: Columns of it. What is wrong with others goes unseen.
        batch: As it came. Its buffers are as long as they need to be; what lies in them may be anything.

    Raises:
        BadFrame: a column is missing or of another type, or holds nulls or what is outside its bounds.

    """
    found: dict[str, Sent] = {}
    schema = batch.schema
    numbers = {name: number for number, name in enumerate(schema.names)}
    for column in wanted:
        if column.name in numbers:
            number = numbers[column.name]
            told = ((column.narrow or column.joint) and schema.field(number).metadata) or {}
            found[column.name] = _read(signal, column, batch, told, found)
        elif column.required:
            raise BadFrame("missing-column", f"{signal.name} needs the column {column.name!r}")
        else:
            default = pa.scalar(column.default, type=value_type(column))
            found[column.name] = _as_sent(_typed(column, pa.repeat(default, batch.num_rows)))
    return found


def restored(column: Column, sent: Sent) -> pa.Array:
    """Return a column as an array of its type. Hostile distances may wrap around; they stay integers of the type."""
    if isinstance(sent, Text):
        return pa.DictionaryArray.from_arrays(sent.indices, sent.words, safe=False)
    if isinstance(sent, Numbers):
        return pa.array(values(sent, value_type(column).to_pandas_dtype()), type=value_type(column))
    return sent


def values(sent: Numbers, kind: npt.DTypeLike = np.int64) -> Ints:
    """Return the integers that distances stand for."""
    if sent.before is not None:
        return values(sent.before, kind) - (sent.distances.astype(np.int64) + sent.base)
    return np.add(sent.distances, np.dtype(kind).type(sent.base), dtype=kind, casting="unsafe")


def together(columns: Sequence[tuple[Ints, int]]) -> tuple[Ints, list[Ints]]:
    """Give columns of codes the same codes, one for each combination that occurs, in ascending order of the columns.

    Args:
        columns: Each one's codes, of one length, and a bound that they are below.

    Returns:
        The common codes, and by column, for each of these, the column's own.

    """
    codes, size = columns[0]
    own: list[Ints] = [np.arange(size)]
    for more, more_size in columns[1:]:
        both = codes.astype(np.int64) * more_size + more
        distinct, codes = _ranked(both, size * more_size)
        own = [of_one[distinct // more_size] for of_one in own] + [distinct % more_size]
        size = len(distinct)
    return codes, own


def _ranked(codes: Ints, size: int) -> tuple[Ints, Ints]:
    """Return the codes, below `size`, that occur, and each row's place among them."""
    if size > max(1 << 16, 4 * len(codes)):
        distinct, ranks = np.unique(codes, return_inverse=True)
        return distinct, ranks
    occurs = np.zeros(size, dtype=bool)
    occurs[codes] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[codes]


def _together(arrays: Sequence[pa.Array]) -> list[pa.DictionaryArray]:
    """Return text columns with the same codes; nothing where there are nulls, or more codes than a byte counts."""
    if len(arrays) < 2 or any(array.null_count or len(array.dictionary) > _MOST_COMBINATIONS for array in arrays):  # noqa: PLR2004  two make a pair
        return []
    codes, own = together([(np.asarray(array.indices), len(array.dictionary)) for array in arrays])
    if len(own[0]) > _MOST_COMBINATIONS:
        return []
    indices = pa.array(codes.astype(np.uint8))
    return [
        pa.DictionaryArray.from_arrays(indices, array.dictionary.take(pa.array(of_one)))
        for array, of_one in zip(arrays, own, strict=True)
    ]


def _distances(column: Column, array: pa.Array, before: pa.Array | None) -> tuple[pa.Array, dict[bytes, bytes]]:
    """Return unsigned distances from a base and the metadata that names it; the array itself where they are wide."""
    whole = np.asarray(array).astype(np.int64)
    told = {}
    if before is not None:
        other = np.asarray(before).astype(np.int64)
        if _span(whole, other) < 1 << 63:
            whole, told = other - whole, {BEFORE: str(column.before).encode()}
    base = int(whole.min())
    for size, kind in _NARROWEST:
        if _span(whole) < size:
            return pa.array((whole - base).astype(kind)), told | {BASE: b"%d" % base}
    return array, {}


def _span(*arrays: Ints) -> int:
    return max(int(array.max()) for array in arrays) - min(int(array.min()) for array in arrays)


def _read(
    signal: Signal, column: Column, batch: pa.RecordBatch, told: Mapping[bytes, bytes], found: Mapping[str, Sent]
) -> Sent:
    """Return a column that there is; `told` is its metadata, `found` the columns that were read before."""
    array = batch.column(column.name)
    try:
        if column.type is Type.TEXT and isinstance(array, pa.DictionaryArray) and not _has_nulls(array):
            return _text(column, array, found.get(told.get(JOINT, b"").decode(errors="replace")))
        array.validate(full=True)
        if BASE in told:
            return _numbers(signal, column, batch, array, told)
    except (pa.ArrowException, ValueError) as error:
        if isinstance(error, BadFrame):
            raise
        raise BadFrame("bad-frame", f"column {column.name!r}: {error}") from error
    return _as_sent(_checked(column, array))


def _text(column: Column, array: pa.DictionaryArray, first: Sent | None) -> Text:
    """Return text by codes, its words found to be text, and its codes to be words'.

    Args:
        column: What it is to be.
        array: As it came, without nulls.
        first: The column whose codes it has by the writer's word, where that was read.

    """
    words = array.dictionary
    if words.type != value_type(column):
        raise BadFrame("wrong-type", f"column {column.name!r} is {array.type}, not {column.type}")
    words.validate(full=True)
    if isinstance(first, Text) and len(first.words) == len(words):
        return Text(words, first.indices, first.codes)
    indices = array.indices
    codes = _addable(indices.to_numpy())
    if codes.dtype.kind != "u" or codes.max(initial=0) >= len(words):
        array.validate(full=True)
    return Text(words, indices, codes)


def _numbers(
    signal: Signal, column: Column, batch: pa.RecordBatch, array: pa.Array, told: Mapping[bytes, bytes]
) -> Numbers:
    """Return integers as distances, found to stand for integers of the column's type."""
    if not pa.types.is_unsigned_integer(array.type) or array.null_count:
        raise BadFrame("wrong-type", f"column {column.name!r} is {array.type}, not distances from a base")
    base, distances = int(told[BASE]), array.to_numpy()
    least, most = _LIMITS[column.type]
    if column.before is not None and BEFORE in told:
        before = read(signal, (signal.column(column.before),), batch)[column.before]
        if isinstance(before, Numbers) and least <= base <= most:
            return Numbers(_addable(distances), base, before)
    elif least <= base and base + int(distances.max(initial=0)) <= most:
        return Numbers(_addable(distances), base)
    raise BadFrame("wrong-type", f"column {column.name!r} holds what is no {column.type}")


def _checked(column: Column, array: pa.Array) -> pa.Array:
    """Return a column as it is, with its nulls filled, in the type of the signal."""
    if _plain(array.type) != value_type(column):
        raise BadFrame("wrong-type", f"column {column.name!r} is {array.type}, not {column.type}")
    plain = array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array
    if plain.null_count and column.required:
        raise BadFrame("null-value", f"column {column.name!r} is required and holds nulls")
    return _typed(column, plain.fill_null(pa.scalar(column.default, type=plain.type)) if plain.null_count else plain)


def _has_nulls(array: pa.DictionaryArray) -> bool:
    # An index may be null, and so may the value in the dictionary that it points to.
    return bool(array.null_count or array.dictionary.null_count)


def _as_sent(array: pa.Array) -> Sent:
    if isinstance(array, pa.DictionaryArray):
        return Text(array.dictionary, array.indices, _addable(array.indices.to_numpy()))
    return Numbers(_addable(array.to_numpy())) if pa.types.is_integer(array.type) else array


def _addable(integers: Ints) -> Ints:
    """Return integers that may be added to signed ones: NumPy would make floats of the widest unsigned."""
    return integers.astype(np.int64) if integers.dtype == np.uint64 else integers


def _typed(column: Column, plain: pa.Array) -> pa.Array:
    """Give plain values the column's encoding."""
    return plain.dictionary_encode() if column.type is Type.TEXT else plain


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind

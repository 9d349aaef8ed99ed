"""Frames from rows' values without Arrow's library: decoded, what `abdrift.frames.encode` writes, byte for byte."""

from collections.abc import Mapping, Sequence
from typing import Any

import cramjam

from abdrift.arrow.columns import buffers_of, joint_buffers_of
from abdrift.arrow.stream import stream_of
from abdrift.envelope import LEVEL, MAX_ROWS, EncodedFrame, Part, sealed
from abdrift.signals.schema import Signal


def encode(signal: Signal, columns: Mapping[str, Sequence[Any]], part: tuple[str, int, int]) -> EncodedFrame:
    """Encode rows of one lane.

    Args:
        signal: What the rows are.
        columns: Values by column name, all of one length. Optional columns may be left out.
        part: The lane's source, epoch and sequence.

    Raises:
        ValueError, TypeError, OverflowError: a column is missing, unknown or of another length, a value is not of
            its column's type, or there are no or too many rows.

    """
    given = [column for column in signal.columns if column.required or column.name in columns]
    if strange := set(columns) ^ {column.name for column in given}:
        raise ValueError(f"{signal.name}: column {min(strange)!r} is missing or unknown")
    rows = len(columns[signal.event_time_column])
    if not 0 < rows <= MAX_ROWS or any(len(values) != rows for values in columns.values()):
        raise ValueError(f"a frame holds 1 to {MAX_ROWS} rows, and each column as many; the first has {rows}")
    joint = joint_buffers_of({each.name: columns[each.name] for each in given if each.joint})
    written = stream_of(
        [
            joint.get(each.name) or buffers_of(each, columns[each.name], columns[each.before] if each.before else None)
            for each in given
        ]
    )
    value = bytes(cramjam.zstd.compress(written, level=LEVEL))
    times = columns[signal.event_time_column]
    source, epoch, sequence = part
    parts = (Part(source, epoch, sequence, 0, rows),)
    return sealed(signal, value, parts, (min(times), max(times)), len(written))

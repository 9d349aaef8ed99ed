"""What the changelog keeps of a partition, laid out as `streams.rates.cells` tells: sections of a checkpoint, deltas.

Sections hold single values, words, lanes, members (the series that rules select), what waits for its beat, and arrays
by slot. Members and rules stand before the arrays, which are laid over them.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec
import numpy as np

from abdrift.facts.governance import HealthPolicy
from streams.commit import StateError
from streams.levels.lines import Lines
from streams.levels.members import Members
from streams.levels.rings import Samples
from streams.levels.rules import Rules
from streams.levels.series import Joined
from streams.levels.state import State, Taken
from streams.rates.cells import Head, Lanes, Words, joined, split_news
from streams.rates.packing import Ints, pack, unpack
from streams.rates.sequences import Lane
from streams.rates.vocabulary import News
from streams.rates.windows import KEPT_MINUTES, Rows

_SLOTS: Final = 4_096
_WINDOWED_SLOTS: Final = 256
"""Slots of a section: each has up to 520 bytes."""
_ROWS: Final = 8_192
_JOINED: Final = 100
"""Members of a section: each has up to 2 KB of labels."""
_LANES: Final = 32
_OFFENDERS: Final = 500


class PackedTaken(msgspec.Struct, frozen=True, array_like=True):
    """What frames of one beat come to, as bytes."""

    samples: list[tuple[bytes, bytes, bytes]]
    lines: list[tuple[bytes, bytes, bytes]]
    sampled: bytes = b""
    logged: bytes = b""
    refused: dict[str, int] = {}
    offenders: dict[int, str] = {}


class Run(msgspec.Struct, frozen=True, tag="run"):
    """What was taken in, with the words, members and lanes that are new in it."""

    beat: int
    taken: PackedTaken
    news: News
    joined: list[Joined]
    lanes: dict[str, list[Lane]]


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """A beat that ended what came before it."""

    beat: int


class Declared(msgspec.Struct, frozen=True, tag="declared"):
    """Rules that were put in force, as JSON."""

    beat: int
    policy: bytes


Change = Run | Beat | Declared


class Base(msgspec.Struct, frozen=True, tag="base"):
    """Single values."""

    beat: int
    minute: int
    settled: int
    began: int
    said: int
    counters: dict[str, int]
    policy: bytes


class Offenders(msgspec.Struct, frozen=True, tag="offenders"):
    """Some of the clusters of which samples are refused for want of room."""

    offenders: dict[int, tuple[str, int]]


class Roster(msgspec.Struct, frozen=True, tag="joint"):
    """Some of the members."""

    joined: list[Joined]


class Waiting(msgspec.Struct, frozen=True, tag="waiting"):
    """Some of what waits for its beat to end; rows that do not count, and clusters' counts, stand elsewhere."""

    taken: PackedTaken


class Columns(msgspec.Struct, frozen=True, tag="columns"):
    """Arrays from one slot, or cluster's number, on."""

    of: str
    first: int
    columns: tuple[bytes, ...]


Section = Base | Words | Lanes | Offenders | Roster | Waiting | Columns

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_section: Final = msgspec.msgpack.Decoder(Section).decode
_decode_delta: Final = msgspec.msgpack.Decoder(list[Change]).decode


def packed(taken: Taken) -> PackedTaken:
    """Return what frames come to as bytes."""
    return PackedTaken(
        [(pack(one.rows), pack(one.times_ms), one.bits.tobytes()) for one in taken.samples],
        [(pack(one.keys), pack(one.lines), pack(one.errors)) for one in taken.lines],
        pack(taken.sampled),
        pack(taken.logged),
        dict(taken.refused),
        dict(taken.offenders),
    )


def unpacked(taken: PackedTaken) -> Taken:
    """Return what `packed` took."""
    return Taken(
        [Samples(unpack(rows), unpack(times_ms), _bits(bits)) for rows, times_ms, bits in taken.samples],
        [Lines(*map(unpack, one)) for one in taken.lines],
        unpack(taken.sampled),
        unpack(taken.logged),
        taken.refused,
        taken.offenders,
    )


def checkpoint(generation: int, state: State) -> tuple[int, Iterator[tuple[str, bytes]]]:
    """Return how many sections all the state makes, and their cells, each made when it is asked for."""
    sections = list(_sections(state))
    return len(sections), ((f"s/{generation}/{number}", _encode(make())) for number, make in enumerate(sections))


def restore(cells: Mapping[str, bytes], head: Head, state: State) -> Iterator[Change]:
    """Fill an empty state from its checkpoint and yield, for the caller to carry out, what changed it since.

    Raises:
        StateError: cells are missing.

    """
    try:
        for number in range(head.sections):
            _fill(state, _decode_section(cells[f"s/{head.generation}/{number}"]))
        for sequence in range(head.first_delta, head.next_delta):
            yield from _decode_delta(joined(cells, sequence))
    except KeyError as missing:
        raise StateError(f"cell {missing} is missing; delete the local copy to read it anew") from missing


def _sections(state: State) -> Iterator[Callable[[], Section]]:
    policy = state.rules.policy.model_dump_json().encode()
    base = Base(state.beat, state.minute, state.settled, state.began, state.said, dict(state.counters), policy)
    yield lambda: base
    for news in split_news(state.vocabulary.everything()):
        yield partial(Words, news)
    lanes = list(state.sequences.by_source.items())
    for start in range(0, len(lanes), _LANES):
        yield partial(Lanes, dict(lanes[start : start + _LANES]))
    offenders = list(state.offenders.items())
    for start in range(0, len(offenders), _OFFENDERS):
        yield partial(Offenders, dict(offenders[start : start + _OFFENDERS]))
    everything = state.series.everything()
    for start in range(0, len(everything), _JOINED):
        yield partial(Roster, everything[start : start + _JOINED])
    for taken in state.waiting:
        for piece in _split(taken):
            yield partial(Waiting, piece)
    for of, size, step, columns in _arrays(state):
        for first in range(0, size, step):
            yield partial(_columns, of, columns, first, min(first + step, size))


def _split(taken: Taken) -> Iterator[PackedTaken]:
    """Yield what waits in pieces that fit a cell. What is counted at once is not among it."""
    offenders = dict(taken.offenders)
    for one in taken.samples:
        for start in range(0, len(one.rows), _ROWS):
            rows = slice(start, start + _ROWS)
            part = Samples(one.rows[rows], one.times_ms[rows], one.bits[rows])
            yield packed(Taken(samples=[part]))
    for lines in taken.lines:
        for start in range(0, len(lines.keys), _ROWS):
            rows = slice(start, start + _ROWS)
            yield packed(Taken(lines=[Lines(lines.keys[rows], lines.lines[rows], lines.errors[rows])]))
    yield packed(Taken(offenders=offenders))


def _columns(of: str, columns: tuple[Any, ...], first: int, end: int) -> Columns:
    return Columns(of, first, tuple(_packed(column[first:end].ravel()) for column in columns))


def _packed(values: Any) -> bytes:
    return pack(values.astype(np.int64))


def _arrays(state: State) -> Iterator[tuple[str, int, int, tuple[Any, ...]]]:
    """Yield the state's arrays: of what, how many rows are in use, how many make a section, and the columns."""
    yield "clusters", state.vocabulary.clusters.used, _SLOTS, state.of_clusters()
    for number, table in enumerate(state.tables):
        size = _SLOTS if table.ring.cells == 1 else _WINDOWED_SLOTS
        yield f"members/{number}", table.used, size, _of_members(table)
    logs = state.logs
    errors, lines = Rows(logs.errors.table), Rows(logs.lines.table)
    columns = (errors.counts, errors.usual, errors.minute, logs.errors.unusual, lines.counts, lines.minute)
    yield "logs", logs.workloads.used, _SLOTS // 2, (logs.workloads.keys, *columns)


def _of_members(table: Members) -> tuple[Any, ...]:
    """Return a table's columns; values by the halves of their bits, since their span may be all of 64."""
    bits = table.ring.bits.view(np.uint32)
    return table.phase, table.since_ms, table.ring.newest_ms, table.ring.times_ms, bits


def _fill(state: State, section: Section) -> None:
    match section:
        case Base():
            state.beat, state.minute, state.settled = section.beat, section.minute, section.settled
            state.began, state.said, state.counters = section.began, section.said, dict(section.counters)
            state.rules = state.series.rules = Rules(HealthPolicy.model_validate_json(section.policy))
        case Words():
            state.vocabulary.restore(section.news)
        case Lanes():
            state.sequences.restore(section.lanes)
        case Offenders():
            state.offenders |= section.offenders
        case Roster():
            state.series.restore(section.joined)
        case Waiting():
            state.waiting.append(unpacked(section.taken))
        case Columns():
            _fill_columns(state, section)


def _fill_columns(state: State, section: Columns) -> None:
    columns = [unpack(one) for one in section.columns]
    where = slice(section.first, section.first + len(columns[0]))
    of, _, number = section.of.partition("/")
    if of == "clusters":
        for kept, column in zip(state.of_clusters(), columns, strict=True):
            kept[where] = column
    elif of == "members":
        _fill_members(state.tables[int(number)], where, columns)
    else:
        _fill_logs(state, where, columns)


def _fill_members(table: Members, where: slice, columns: list[Ints]) -> None:
    # Slots that are free at the end were put by nobody.
    where = slice(where.start, min(where.stop, table.used))
    size = where.stop - where.start
    phase, table.since_ms[where], table.ring.newest_ms[where] = (column[:size] for column in columns[:3])
    table.phase[where] = phase
    table.ring.times_ms[where] = columns[3].reshape(-1, table.ring.cells)[:size]
    bits = columns[4].astype(np.uint32).view(np.int64)
    table.ring.bits[where] = bits.reshape(-1, table.ring.cells)[:size]
    groups = table.group[where]
    table.groups.move(groups, np.zeros(size, dtype=np.int64), phase)


def _fill_logs(state: State, where: slice, columns: list[Ints]) -> None:
    logs = state.logs
    logs.workloads.restore(where.start, columns[0])
    errors, lines = Rows(logs.errors.table[where]), Rows(logs.lines.table[where])
    errors.counts[:] = columns[1].reshape(-1, KEPT_MINUTES)
    errors.usual[:], errors.minute[:], logs.errors.unusual[where] = columns[2:5]
    lines.counts[:] = columns[5].reshape(-1, KEPT_MINUTES)
    lines.minute[:] = columns[6]


def _bits(packed_bits: bytes) -> Ints:
    return np.frombuffer(packed_bits, dtype=np.int64)

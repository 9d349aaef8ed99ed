"""What the changelog keeps of a partition: a checkpoint of all its state in sections, and each batch's sums since.

- `head`: which checkpoint and which deltas count. Committed with the batch; nothing else is looked at without it.
- `s/<generation>/<n>`: the sections of a checkpoint, of at most 256 KB each: words, lanes, slots by range.
- `d/<sequence>/<n>`: the parts of a batch's delta: the sums it took in and the beats it ended, in order.

Sections and parts are written before the batch is committed, under keys that the former head knows nothing of, hence
once. When the deltas since the last checkpoint have grown as large as the state, the next is made: a row of state is
written about as often as a row of sums is, and what recovery reads is bounded by twice the state.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from streams.commit import StateError
from streams.rates import sums
from streams.rates.counting import BEAT_MS
from streams.rates.packing import pack, unpack
from streams.rates.sequences import Lane
from streams.rates.state import State
from streams.rates.sums import Packed, Sums, chosen
from streams.rates.vocabulary import News
from streams.rates.windows import KEPT_MINUTES, Rows, grown

HEAD: Final = "head"
PART_BYTES: Final = 250_000
_SLOTS: Final = 4_096
_ROWS: Final = 4_096
_WORDS_BYTES: Final = 100_000
_LANES: Final = 32
_LENGTH_BYTES: Final = 8


class Run(msgspec.Struct, frozen=True, tag="run"):
    """Sums that were taken in, with the words and lanes that are new in them."""

    beat: int
    sums: Packed
    news: News
    lanes: dict[str, list[Lane]]


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """A beat that ended what came before it."""

    beat: int


Change = Run | Beat


class Head(msgspec.Struct, frozen=True):
    """Which cells count: the sections of one generation, and deltas from the first up to, not including, the next."""

    generation: int = 0
    sections: int = 0
    first_delta: int = 0
    next_delta: int = 0
    delta_bytes: int = 0
    """Of all deltas since the checkpoint."""


class Base(msgspec.Struct, frozen=True, tag="base"):
    """Single values."""

    beat: int
    minute: int
    settled: int
    began: int
    said: int
    counters: dict[str, int]


class Words(msgspec.Struct, frozen=True, tag="words"):
    """Some of the vocabulary."""

    news: News


class Lanes(msgspec.Struct, frozen=True, tag="lanes"):
    """Some of the lanes, in the order in which they were heard."""

    lanes: dict[str, list[Lane]]


class Waiting(msgspec.Struct, frozen=True, tag="waiting"):
    """Some of the sums that wait for their beat to end."""

    sums: Packed


class Columns(msgspec.Struct, frozen=True, tag="columns"):
    """Arrays from one slot, or cluster's number, on."""

    of: str
    first: int
    columns: tuple[bytes, ...]


Section = Base | Words | Lanes | Waiting | Columns

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_head: Final = msgspec.msgpack.Decoder(Head).decode
_decode_section: Final = msgspec.msgpack.Decoder(Section).decode
_decode_delta: Final = msgspec.msgpack.Decoder(list[Change]).decode


def delta(sequence: int, changes: Sequence[msgspec.Struct]) -> Iterator[tuple[str, bytes]]:
    """Yield the cells of a batch's delta."""
    body = _encode(changes)
    body = len(body).to_bytes(_LENGTH_BYTES, "big") + body
    for number, start in enumerate(range(0, len(body), PART_BYTES)):
        yield f"d/{sequence}/{number}", body[start : start + PART_BYTES]


def head_cell(head: Head) -> bytes:
    """Return the head, encoded."""
    return _encode(head)


def checkpoint(generation: int, state: State) -> tuple[int, Iterator[tuple[str, bytes]]]:
    """Return how many sections all the state makes, and their cells, each made when it is asked for.

    So the state is never there twice. It must not change until the last is made.
    """
    sections = list(_sections(state))
    return len(sections), ((f"s/{generation}/{number}", _encode(make())) for number, make in enumerate(sections))


def section_keys(head: Head) -> list[str]:
    """Return the keys of a head's sections."""
    return [f"s/{head.generation}/{number}" for number in range(head.sections)]


def head_of(cells: Mapping[str, bytes]) -> Head:
    """Return the head that the cells have; that of an empty state where they have none."""
    return _decode_head(cells[HEAD]) if HEAD in cells else Head()


def restore(cells: Mapping[str, bytes], head: Head, state: State) -> Iterator[Change]:
    """Fill an empty state from its checkpoint and yield, for the caller to carry out, what changed it since.

    Raises:
        StateError: cells are missing.

    """
    try:
        for number in range(head.sections):
            _fill(state, _decode_section(cells[f"s/{head.generation}/{number}"]))
        state.become_quiet(state.beat * BEAT_MS)
        for sequence in range(head.first_delta, head.next_delta):
            yield from _decode_delta(joined(cells, sequence))
    except KeyError as missing:
        raise StateError(f"cell {missing} is missing; delete the local copy to read it anew") from missing


def needless(cells: Iterable[str], head: Head) -> list[str]:
    """Return the cells that the head knows nothing of."""
    return [key for key in cells if not _counts(key, head)]


def _counts(key: str, head: Head) -> bool:
    kind, _, rest = key.partition("/")
    number, _, part = rest.partition("/")
    if kind == "s":
        return int(number) == head.generation and int(part) < head.sections
    return key == HEAD or head.first_delta <= int(number) < head.next_delta


def joined(cells: Mapping[str, bytes], sequence: int) -> bytes:
    """Return a delta's encoding, its parts put together.

    Raises:
        KeyError: one is missing.

    """
    first = cells[f"d/{sequence}/0"]
    size_bytes = _LENGTH_BYTES + int.from_bytes(first[:_LENGTH_BYTES], "big")
    parts = -(-size_bytes // PART_BYTES)
    body = first + b"".join(cells[f"d/{sequence}/{number}"] for number in range(1, parts))
    return body[_LENGTH_BYTES:size_bytes]


def _sections(state: State) -> Iterator[Callable[[], Section]]:
    base = Base(state.beat, state.minute, state.settled, state.began, state.said, dict(state.counters))
    yield lambda: base
    for words in split_news(state.vocabulary.everything()):
        yield partial(Words, words)
    lanes = list(state.sequences.by_source.items())
    for start in range(0, len(lanes), _LANES):
        yield partial(Lanes, dict(lanes[start : start + _LANES]))
    for waiting in state.waiting:
        for piece in _split(waiting):
            yield partial(Waiting, piece)
    for of, size, columns in _arrays(state):
        for first in range(0, size, _SLOTS):
            yield partial(_columns, of, columns, first, min(first + _SLOTS, size))


def _columns(of: str, columns: tuple[Any, ...], first: int, end: int) -> Columns:
    return Columns(of, first, tuple(pack(column[first:end].ravel()) for column in columns))


def _arrays(state: State) -> Iterator[tuple[str, int, tuple[Any, ...]]]:
    """Yield the state's arrays: of what, how many rows are in use, and the columns."""
    places, workloads = state.places, state.workloads
    yield "clusters", state.vocabulary.clusters.used, state.of_clusters()
    rows = Rows(state.windows.table)
    unpacked = (rows.counts, rows.usual, rows.stamp, rows.minute, state.windows.unusual)
    yield "places", places.used, (places.keys, state.sums)
    yield "workloads", workloads.used, (workloads.keys, *unpacked)


def split_news(news: News) -> Iterator[News]:
    """Yield words in pieces that fit a cell."""
    for name in News.__struct_fields__:
        chunk: dict[Any, Any] = {}
        size_bytes = 0
        for key, value in getattr(news, name).items():
            chunk[key] = value
            size_bytes += len(str(key).encode()) + len(str(value).encode())
            if size_bytes > _WORDS_BYTES:
                yield News(**{name: chunk})
                chunk, size_bytes = {}, 0
        if chunk:
            yield News(**{name: chunk})


def _split(whole: Sums) -> Iterator[Packed]:
    """Yield sums in pieces that fit a cell."""
    longest = max(len(whole.places.keys), len(whole.moments.keys), len(whole.heard.clusters))
    for start in range(0, longest, _ROWS):
        rows = slice(start, start + _ROWS)
        yield sums.packed(Sums(chosen(whole.places, rows), chosen(whole.moments, rows), chosen(whole.heard, rows)))


def _fill(state: State, section: Section) -> None:
    match section:
        case Base():
            state.beat, state.minute, state.settled = section.beat, section.minute, section.settled
            state.began, state.said, state.counters = section.began, section.said, dict(section.counters)
        case Words():
            state.vocabulary.restore(section.news)
        case Lanes():
            state.sequences.restore(section.lanes)
        case Waiting():
            state.waiting.append(sums.unpacked(section.sums))
        case Columns():
            _fill_columns(state, section)


def _fill_columns(state: State, section: Columns) -> None:
    columns = [unpack(one) for one in section.columns]
    where = slice(section.first, section.first + len(columns[0]))
    if section.of == "clusters":
        for kept, column in zip(state.of_clusters(), columns, strict=True):
            kept[where] = column
    elif section.of == "places":
        state.places.restore(section.first, columns[0])
        state.sums = grown(state.sums, state.places.used)
        state.sums[where] = columns[1].reshape(-1, state.sums.shape[1])
    else:
        state.workloads.restore(section.first, columns[0])
        rows = Rows(state.windows.table[where])
        rows.counts[:] = columns[1].reshape(-1, KEPT_MINUTES)
        rows.usual[:], rows.stamp[:], rows.minute[:], state.windows.unusual[where] = columns[2:]

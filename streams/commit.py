"""How a partition's state stands on its changelog: what is written, in which order, and how it is read back.

One lane (one step, one partition) owns one changelog partition. On it lie

- `c/<key>`: one cell, encoded; a tombstone deletes it;
- `o`: the claim of a new owner;
- `w/<slot>` and `w/<slot>/<n>`: the redo record of the newest batch, and its chunks where it is too large for one
  record. Slots alternate by version, chunks come before their head, so an unfinished redo never covers a whole one.

A batch is committed by the acknowledgement of its redo record, which holds everything: the next offset of each input
topic, each changed cell, each fact to publish. Then the facts are published and the cells written under their own
keys; only then may the next redo record follow. So recovery is: take the cells, lay the newest whole redo over them,
publish its facts again byte for byte, resume at its offsets.

Cells may be *staged*: written, and acknowledged, before the redo record, which then does not hold them. Their step
gives them new keys each time and tells by a cell of the redo which of them count.

Every record names its writer in the header `abdrift-owner`: an epoch, raised by each new owner in its first record
(the claim, which changes nothing else), and a random worker id. A `Fence` reads a changelog in order and refuses what
a superseded owner wrote late. And an owner knows which offset its next record must get: any other says that somebody
else wrote in between, and reading that stretch through the fence says who.

Forbidden here: I/O, clocks, randomness. docs/decisions/0002-engine-commit.md says why it is so.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

OWNER_HEADER: Final = "abdrift-owner"

CHUNK_BYTES: Final = 900_000
"""Kafka refuses records above 1 MiB unless a topic is told otherwise; the rest is room for key and headers."""

_CLAIM: Final = b"o"
_CELL: Final = b"c/"
_REDO: Final = b"w/"
_SLOTS: Final = 2


class StateError(Exception):
    """The state cannot be written or read; the worker must stop rather than go on without it."""


class Owner(msgspec.Struct, frozen=True, array_like=True):
    """Who wrote a changelog record: the epoch of the ownership, and the worker."""

    epoch: int
    worker: str

    def header(self) -> tuple[str, bytes]:
        """Return the record header that names this owner."""
        return OWNER_HEADER, f"{self.epoch}/{self.worker}".encode()

    @classmethod
    def of(cls, headers: Iterable[tuple[str, bytes]]) -> "Owner":
        """Return the owner that a record's headers name; `NOBODY` where they name none."""
        for name, value in headers:
            epoch, slash, worker = value.partition(b"/")
            if name == OWNER_HEADER and slash and epoch.isdigit():
                return cls(int(epoch), worker.decode(errors="replace"))
        return NOBODY


NOBODY: Final = Owner(0, "")


class OutboxFact(msgspec.Struct, frozen=True, array_like=True):
    """One fact as it goes to Kafka; `value` None is a tombstone."""

    topic: str
    partition: int
    key: str
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Redo(msgspec.Struct, frozen=True, array_like=True):
    """Everything that one commit changes, complete in itself."""

    version: int
    owner: Owner
    offsets: dict[str, int]
    """By input topic: the next offset this partition's state has not absorbed."""
    cells: dict[str, bytes | None]
    outbox: tuple[OutboxFact, ...]


class _Head(msgspec.Struct, frozen=True, array_like=True):
    version: int
    owner: Owner
    chunks: int
    digest: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Write:
    """One changelog record to be written; `value` None is a tombstone."""

    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Seen:
    """One changelog record as it was read."""

    offset: int
    key: bytes
    value: bytes | None
    owner: Owner


@dataclass(slots=True)
class Fence:
    """Tells a changelog's rightful records from those of superseded owners, given all of them in order."""

    owner: Owner = NOBODY
    refused: set[bytes] = field(default_factory=set)
    """Keys whose newest record on the changelog is not the rightful one; the owner must write them again."""

    def accepts(self, seen: Seen) -> bool:
        """Whether the record counts. The first writer of a higher epoch becomes the owner."""
        if seen.owner == NOBODY or (seen.owner != self.owner and seen.owner.epoch <= self.owner.epoch):
            self.refused.add(seen.key)
            return False
        self.owner = seen.owner
        self.refused.discard(seen.key)
        return True


@dataclass(frozen=True, slots=True)
class Recovered:
    """A partition's state as the last commit left it."""

    cells: dict[str, bytes]
    redo: Redo
    chunks: dict[int, int] = field(default_factory=dict)
    """By slot: how many chunk records lie there, used or left over."""


def claim_write(owner: Owner) -> Write:
    """Return a new owner's first record: from it on, what earlier owners write does not count."""
    return Write(_CLAIM, msgspec.msgpack.encode(owner))


def cell_write(key: str, value: bytes | None) -> Write:
    """Return the record that keeps one cell.

    Raises:
        StateError: it is larger than a Kafka record may be; the step must shard it.

    """
    if value is not None and len(value) > CHUNK_BYTES:
        raise StateError(f"cell {key!r} has {len(value)} bytes, at most {CHUNK_BYTES} fit: its step must shard it")
    return Write(_CELL + key.encode(), value)


def redo_writes(redo: Redo, chunk_bytes: int = CHUNK_BYTES) -> list[Write]:
    """Return the records that commit a batch, in the order they must be written: the head last."""
    body = msgspec.msgpack.encode(redo)
    slot = redo.version % _SLOTS
    head_key = _REDO + b"%d" % slot
    if len(body) <= chunk_bytes:
        return [Write(head_key, msgspec.msgpack.encode(_Head(redo.version, redo.owner, 0, b"", body)))]
    parts = [body[start : start + chunk_bytes] for start in range(0, len(body), chunk_bytes)]
    head = _Head(redo.version, redo.owner, len(parts), _digest(body), b"")
    chunks = [Write(_chunk_key(slot, n), part) for n, part in enumerate(parts)]
    return [*chunks, Write(head_key, msgspec.msgpack.encode(head))]


def recover(items: Iterable[tuple[bytes, bytes]]) -> Recovered:
    """Return the last commit's state from a partition's table.

    Args:
        items: Its keys and values, as a `Fence` let them through, in any order.

    Raises:
        StateError: there are cells but no redo record was ever whole: the table is damaged.

    """
    table = dict(items)
    cells = {key[len(_CELL) :].decode(): value for key, value in table.items() if key.startswith(_CELL)}
    redo = _newest_whole_redo(table)
    if redo is None:
        if cells:
            raise StateError(f"{len(cells)} cells but no whole redo record; delete the local copy to read it anew")
        redo = Redo(0, NOBODY, {}, {}, ())
    for key, value in redo.cells.items():
        if value is None:
            cells.pop(key, None)
        else:
            cells[key] = value
    return Recovered(cells, redo, {slot: _chunks_lying(table, slot) for slot in range(_SLOTS)})


def _newest_whole_redo(table: Mapping[bytes, bytes]) -> Redo | None:
    newest: Redo | None = None
    for slot in range(_SLOTS):
        redo = _redo(table, slot)
        if redo is not None and (newest is None or redo.version > newest.version):
            newest = redo
    return newest


def _chunks_lying(table: Mapping[bytes, bytes], slot: int) -> int:
    prefix = b"%s%d/" % (_REDO, slot)
    return max((int(key[len(prefix) :]) + 1 for key in table if key.startswith(prefix)), default=0)


def _chunk_key(slot: int, number: int) -> bytes:
    return b"%s%d/%d" % (_REDO, slot, number)


def _redo(table: Mapping[bytes, bytes], slot: int) -> Redo | None:
    """Return a slot's redo record, None where it is absent or its chunks are of another."""
    if (value := table.get(_REDO + b"%d" % slot)) is None:
        return None
    head = msgspec.msgpack.decode(value, type=_Head)
    body = head.body
    if head.chunks:
        body = b"".join(table.get(_chunk_key(slot, n), b"") for n in range(head.chunks))
        if _digest(body) != head.digest:
            return None
    return msgspec.msgpack.decode(body, type=Redo)


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


@dataclass(slots=True)
class Ledger:
    """An owner's account of its partition: what it has committed and what its next record must say.

    The owner writes its claim, calls `take_over`, publishes `outbox` again, writes `flush`, and from then on `stage`
    and `flush` in turn.
    """

    owner: Owner
    version: int
    offsets: dict[str, int]
    outbox: tuple[OutboxFact, ...]
    unflushed: dict[str, bytes | None]
    chunks: dict[int, int] = field(default_factory=dict)
    chunk_bytes: int = CHUNK_BYTES
    _left_over: list[bytes] = field(default_factory=list)

    @classmethod
    def take_over(cls, found: Recovered, owner: Owner, heal: Iterable[bytes] = ()) -> "Ledger":
        """Return the account of a new owner.

        Args:
            found: The state as recovered, read up to the owner's claim.
            owner: The new owner.
            heal: Changelog keys whose newest record is not the rightful one (`Fence.refused`).

        """
        redo = found.redo
        ledger = cls(owner, redo.version, dict(redo.offsets), redo.outbox, dict(redo.cells), dict(found.chunks))
        ledger.heal(heal, found.cells)
        return ledger

    def restage(self) -> list[Write]:
        """Return a redo record of what is already committed, to replace one that an intruder's record covers."""
        return self._staged()

    def stage(
        self, offsets: Mapping[str, int], cells: Mapping[str, bytes | None], outbox: Iterable[OutboxFact]
    ) -> list[Write]:
        """Return the records that commit a batch: its offsets, changed cells and facts."""
        self.offsets.update(offsets)
        self.unflushed.update(cells)
        self.outbox = tuple(outbox)
        return self._staged()

    def flush(self) -> list[Write]:
        """Return the cells that stand only in the redo record so far, and the end of chunks that nobody needs.

        Once they are written, call `flushed`.
        """
        cells = [cell_write(key, value) for key, value in self.unflushed.items()]
        return cells + [Write(key, None) for key in self._left_over]

    def flushed(self) -> None:
        """Note that what `flush` returned is acknowledged."""
        self.unflushed.clear()
        self._left_over.clear()

    def heal(self, keys: Iterable[bytes], cells: Mapping[str, bytes]) -> None:
        """Have cells written again that an intruder's records cover. `cells` are the rightful ones, encoded."""
        for key in keys:
            if key.startswith(_CELL):
                name = key[len(_CELL) :].decode()
                self.unflushed.setdefault(name, cells.get(name))

    def _staged(self) -> list[Write]:
        self.version += 1
        redo = Redo(self.version, self.owner, dict(self.offsets), dict(self.unflushed), self.outbox)
        writes = redo_writes(redo, self.chunk_bytes)
        slot, needed = self.version % _SLOTS, len(writes) - 1
        self._left_over += [_chunk_key(slot, n) for n in range(needed, self.chunks.get(slot, 0))]
        self.chunks[slot] = needed
        return writes

"""The local copies of a step's changelog: a cache on disk, safe to delete while its worker is down.

Faust's store opens and closes the databases; what is in them is read and written here.
"""

import contextlib
import logging
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import rocksdict

from streams.commit import Fence, Owner, Seen
from streams.preparation import drop_if_stale
from streams.telemetry import event

_FENCE_KEY: Final = b"__abdrift\0fence"
_UNLOGGED: Final = rocksdict.WriteOptions()
_UNLOGGED.disable_wal = True  # type: ignore[method-assign, assignment]  # its stub takes a property for a method


class LocalState:
    """A Faust table's RocksDB copies, written only through fences. One database a partition.

    Args:
        changelog: The topic's name.

    """

    def __init__(self, changelog: str) -> None:
        self.changelog = changelog
        self.table: Any = None
        """The Faust table. Set once there is one."""
        self._fences: dict[int, Fence] = {}
        self._in_bulk: set[int] = set()

    def items(self, partition: int) -> list[tuple[bytes, bytes]]:
        """Return a partition's keys and values."""
        own = {_FENCE_KEY, self.table.data.offset_key}
        return [(key, value) for key, value in self._db(partition).items() if key not in own]

    def fence(self, partition: int) -> Fence:
        """Return who owns a partition, as far as it was read."""
        if partition not in self._fences:
            kept = self._db(partition).get(_FENCE_KEY)
            owner, refused = msgspec.msgpack.decode(kept, type=tuple[Owner, list[bytes]]) if kept else (None, [])
            self._fences[partition] = Fence(owner, set(refused)) if owner else Fence()
        return self._fences[partition]

    def next_offset(self, partition: int) -> int:
        """Return the changelog offset up to which the copy holds everything."""
        last = self._db(partition).get(self.table.data.offset_key)
        return 0 if last is None else int(last) + 1

    def apply(self, partition: int, seen: Sequence[Seen]) -> None:
        """Take in changelog records, in order, each as the fence judges it. All of them or none are written."""
        fence, batch = self.fence(partition), rocksdict.WriteBatch(raw_mode=True)
        # A changelog says most keys twice, and redo records again and again.
        newest = {one.key: one.value for one in seen if fence.accepts(one)}
        for key, value in newest.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        last = max(seen[-1].offset, self.next_offset(partition) - 1)
        batch.put(_FENCE_KEY, msgspec.msgpack.encode((fence.owner, sorted(fence.refused))))
        batch.put(self.table.data.offset_key, b"%d" % last)
        self._db(partition).write(batch, _UNLOGGED if partition in self._in_bulk else None)

    @contextlib.contextmanager
    def bulk(self, partitions: Collection[int]) -> Iterator[None]:
        """Take in much of these partitions at once: RocksDB's log and compactions wait until the end.

        They cost three times what the writes do. Killed meanwhile, a copy is what it was a while ago, offset and all.
        """
        for partition in partitions:
            self._db(partition).set_options({"disable_auto_compactions": "true"})
        self._in_bulk |= set(partitions)
        try:
            yield
        finally:
            self._in_bulk -= set(partitions)
            for partition in partitions:
                # A copy that was taken away meanwhile was flushed as it was closed.
                if (copy := self.table.data._dbs.get(partition)) is not None:  # noqa: SLF001  Faust does not say
                    copy.flush()
                    copy.set_options({"disable_auto_compactions": "false"})

    def forget(self) -> None:
        """Drop what is remembered of partitions whose databases may be closed."""
        self._fences.clear()

    def drop_stale(self, partitions: Iterable[int]) -> None:
        """Delete copies of partitions that this worker had so long ago that they may have missed deletions."""
        store = self.table.data
        for partition in partitions:
            closed = partition not in store._dbs  # noqa: SLF001  Faust does not say
            if closed and drop_if_stale(Path(store.partition_path(partition)), time.time()):
                event(logging.INFO, "stale-copy-dropped", changelog=self.changelog, partition=partition)

    def _db(self, partition: int) -> Any:
        return self.table.data._db_for_partition(partition)  # noqa: SLF001  Faust's store asks for a current event

"""Keeps a `Latest` in a file from one command to the next, so that the next reads only what is new.

A file belongs to one view of one Kafka cluster, by that cluster's own id. It may be deleted at any time, and whatever
is wrong with it has the topics read anew: the topics are the truth. Why it is as it is stands in
docs/decisions/0023-cache-of-the-terminal.md.
"""

import contextlib
import logging
import os
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from abdrift.clock import ClockMs, wall_clock_ms
from abdrift.kafka import KafkaSettings, layout
from abdrift.latest import Latest, Reader, Since, opened
from abdrift.topics import Topic

log = logging.getLogger(__name__)

FORMAT: Final = 1
MOST_BYTES: Final = 512 << 20
"""A larger state is not kept: reading it would take as long as reading the topics."""
MOST_FILES: Final = 8
"""Of so many Kafka clusters' views the newest are kept."""
GOOD_FOR_MS: Final = 12 * 3_600_000
"""After so long the topics are read anew. Kafka keeps a tombstone for a day (delete.retention.ms): who was away for
longer would never hear that a key is gone."""
FEW_RECORDS: Final = 500
"""What is read again sooner than the file is written: it is then written only once a while."""
_WRITE_EACH_MS: Final = 60_000
_LEFTOVER_SECONDS: Final = 3_600
_MAGIC: Final = b"abdrift-latest"
_UNFINISHED: Final = ".unfinished"


@dataclass(frozen=True, slots=True)
class View:
    """Which topics are kept, and what of them. A view that comes to keep more, or less, needs a new name."""

    name: str
    topics: tuple[Topic, ...]
    latest: Latest
    """Empty: it says what is wanted, and is filled."""
    since: Since | None = None
    """As of `abdrift.latest.opened`."""
    recent: tuple[Topic, ...] = ()
    """Those of the topics of which only what is younger than `keep_ms` stays."""
    keep_ms: int = 0
    lasting: frozenset[str] = frozenset()
    """Keys of recent topics that stay however old they are."""


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    """What a file holds: places and values as flat lists, for they read fastest."""

    view: str
    kafka: str
    saved_ms: int
    places: list[tuple[str, int, int, int]]
    """Topic, partition, next offset, append time of the last record read (0 where that is not known)."""
    values: dict[str, list[tuple[str, bytes, int]]]
    """By topic: key, value, append time."""


@contextlib.asynccontextmanager
async def remembered(
    kafka: KafkaSettings, view: View, directory: Path | None, *, clock: ClockMs = wall_clock_ms
) -> AsyncIterator[Reader]:
    """Yield a reader of a view's topics that begins where the last one ended; keep on leaving what was read.

    Args:
        kafka: Where.
        view: What is read. Its `latest` must be empty.
        directory: Where files are kept; None keeps none and reads all.
        clock: Tells how old a file is.

    Raises:
        KafkaUnreachableError: no broker lets this client in.
        TopicMissingError: a topic does not exist.

    """
    found = await layout(kafka)
    latest, now_ms = view.latest, clock()
    assert not latest.positions, "a file would be mixed with what was read already"
    path = _path(directory, found.cluster_id, view.name) if directory and found.cluster_id else None
    kept_ms = load(path, view.name, found.cluster_id or "", latest, now_ms) if path else None
    trim(view, now_ms)
    async with opened(kafka, view.topics, latest, since=view.since, found=found) as reader:
        yield reader
    trim(view, now_ms)
    if path and (kept_ms is None or reader.taken > FEW_RECORDS or (reader.taken and now_ms - kept_ms > _WRITE_EACH_MS)):
        # What was read at `now_ms` or later is at least as new as this says.
        save(path, view.name, found.cluster_id or "", latest, now_ms)


def trim(view: View, now_ms: int) -> None:
    """Let go of what is too old of topics that are no state."""
    latest = view.latest
    for topic in view.recent:
        appended = latest.appended_ms.get(topic.name, {})
        old = [key for key, ms in appended.items() if ms < now_ms - view.keep_ms and key not in view.lasting]
        for key in old:
            del appended[key], latest.values[topic.name][key]


def load(path: Path, view: str, kafka: str, latest: Latest, now_ms: int) -> int | None:
    """Fill a `Latest` from a file; return when that was written (ms since the epoch), None where none is of use."""
    try:
        saved = _read(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        log.info("%s is of no use (%s): the topics are read anew", path, error)
        return None
    if (saved.view, saved.kafka) != (view, kafka) or not 0 <= now_ms - saved.saved_ms <= GOOD_FOR_MS:
        return None
    for topic, partition, offset, mark_ms in saved.places:
        latest.positions[topic, partition] = offset
        if mark_ms:
            latest.marks[topic, partition] = mark_ms
    for topic, entries in saved.values.items():
        latest.values[topic] = {key: value for key, value, _ in entries}
        latest.appended_ms[topic] = {key: ms for key, _, ms in entries}
    return saved.saved_ms


def save(path: Path, view: str, kafka: str, latest: Latest, now_ms: int) -> None:
    """Write a `Latest` into a file, at once or not at all. What can't be written is only read again: no error."""
    body = msgspec.msgpack.encode(_saved(view, kafka, latest, now_ms))
    try:
        _make_room(path)
        if len(body) > MOST_BYTES:
            path.unlink(missing_ok=True)
            return
        head = b"%s %d %08x %d\n" % (_MAGIC, FORMAT, zlib.crc32(body), len(body))
        # Readable by this user alone, as mkstemp makes it; and whoever reads meanwhile reads the old one.
        descriptor, unfinished = tempfile.mkstemp(prefix=path.name, suffix=_UNFINISHED, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines((head, body))
            Path(unfinished).replace(path)
        except OSError:
            Path(unfinished).unlink(missing_ok=True)
            raise
    except OSError as error:
        log.info("%s can't be written (%s): the next command reads again", path, error)


def _saved(view: str, kafka: str, latest: Latest, now_ms: int) -> _Saved:
    places = [(*place, offset, latest.marks.get(place, 0)) for place, offset in latest.positions.items()]
    values = {
        topic: [(key, value, latest.appended_ms.get(topic, {}).get(key, 0)) for key, value in kept.items()]
        for topic, kept in latest.values.items()
    }
    return _Saved(view, kafka, now_ms, places, values)


def _read(path: Path) -> _Saved:
    """Return what a file holds.

    Raises:
        ValueError, msgspec.MsgspecError: it is no such file, of another format, or damaged.
        OSError: it can't be read.

    """
    with path.open("rb") as file:
        magic, version, checksum, size = file.readline(100).split(b" ")
        if (magic, int(version)) != (_MAGIC, FORMAT):
            raise ValueError("another format")
        if int(size) > MOST_BYTES:
            raise ValueError("too large")
        body = file.read(int(size))
    if zlib.crc32(body) != int(checksum, 16):
        raise ValueError("damaged")
    return msgspec.msgpack.decode(body, type=_Saved)


def _path(directory: Path, kafka: str, view: str) -> Path:
    # A cluster's id is free text as far as the protocol goes.
    named = "".join(each if each.isalnum() or each in "-_" else "_" for each in kafka)[:64]
    return directory / f"{named}.{view}.latest"


def _make_room(path: Path) -> None:
    """Make the directory, and drop the oldest files and what killed processes left."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in path.parent.glob(f"*{_UNFINISHED}"):
        with contextlib.suppress(FileNotFoundError):  # another process may be at it
            if time.time() - left.stat().st_mtime > _LEFTOVER_SECONDS:
                left.unlink()
    others = [each for each in path.parent.glob("*.latest") if each != path]
    for each in _newest_first(others)[MOST_FILES - 1 :]:
        each.unlink(missing_ok=True)


def _newest_first(paths: Sequence[Path]) -> list[Path]:
    return [path for _, path in sorted(_with_times(paths), reverse=True)]


def _with_times(paths: Sequence[Path]) -> Iterator[tuple[float, Path]]:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            yield path.stat().st_mtime, path

"""What the ways in share: bodies of several events, read aside, and rows and dead letters delivered together."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from abdrift.signals.logs import LogRow
from collectors.dead_letters import DeadLetters, Letter
from collectors.logs.events import MAX_CONTAINERS, Origin, Reader, Refused
from collectors.receiving.handlers import Delivers

Result = LogRow | Refused

_INLINE_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class Parsed:
    """What became of events."""

    rows: list[LogRow] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @classmethod
    def of(cls, results: Iterable[Result]) -> "Parsed":
        """Tell rows from refusals."""
        parsed = cls()
        for each in results:
            if isinstance(each, Refused):
                parsed.refused.append(each)
            else:
                parsed.rows.append(each)
        return parsed


def read_body(reader: Reader, body: bytes, origin: Origin) -> Iterator[Result]:
    """Read an event, an array of events, or an event a line. A body of blanks holds none."""
    if body.count(b"{") + body.count(b"[") > MAX_CONTAINERS:
        yield reader.refused("too-large", f"more than {MAX_CONTAINERS} objects and arrays; send smaller batches", body)
        return
    if not body.strip():
        return
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        for line in body.splitlines():
            if line.strip():
                yield reader.read_json(line, origin)
        return
    for event in document if isinstance(document, list) else (document,):
        yield reader.read(event, origin)


class Room:
    """Memory for what is under way, in bytes: who finds none waits for others to be done."""

    def __init__(self, size_bytes: int) -> None:
        self._free_bytes = self._size_bytes = size_bytes
        self._freed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def taken(self, size_bytes: int) -> AsyncIterator[None]:
        """Hold that much while inside; what is larger than the whole room holds all of it."""
        held_bytes = min(size_bytes, self._size_bytes)
        while self._free_bytes < held_bytes:
            self._freed.clear()
            await self._freed.wait()
        self._free_bytes -= held_bytes
        try:
            yield
        finally:
            self._free_bytes += held_bytes
            self._freed.set()


async def aside(parse: Callable[[], Iterable[Result]], size_bytes: int) -> Parsed:
    """Parse events; in another thread where there is so much that other connections would feel it."""
    if size_bytes <= _INLINE_BYTES:
        return Parsed.of(parse())
    return await asyncio.to_thread(lambda: Parsed.of(parse()))


async def deliver(outlet: Delivers, letters: DeadLetters, rows: Sequence[LogRow], refused: Sequence[Letter]) -> None:
    """Return once Kafka has acknowledged every row and every letter.

    Raises:
        NotDeliveredError: rows that Kafka did not take.

    """
    if refused:
        await letters.publish(refused)
    if rows:
        await outlet.deliver(rows)

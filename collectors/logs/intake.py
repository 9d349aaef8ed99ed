"""What the ways in share: bodies of several events, read aside, and rows and dead letters delivered together."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from abdrift.signals.logs import LogRow
from collectors.dead_letters import DeadLetters, Letter
from collectors.logs.events import Origin, Reader, Refused
from collectors.receiving.handlers import Delivers

Result = LogRow | Refused

_INLINE_BYTES: Final = 64 * 1024
_MAX_CONTAINERS: Final = 500_000
"""Objects and arrays in one body. An empty one takes 3 bytes to send and 70 to hold."""


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
    if body.count(b"{") + body.count(b"[") > _MAX_CONTAINERS:
        yield Refused("too-large", f"more than {_MAX_CONTAINERS} objects and arrays; send smaller batches", body[:1000])
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

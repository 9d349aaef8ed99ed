"""What the ways in share: bodies of several events, read aside, and rows and dead letters delivered together."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from abdrift.letters import MAX_KEPT_BYTES, Letter
from abdrift.signals.logs import LogRow
from collectors.logs.events import MAX_CONTAINERS, Origin, Reader, Refused
from collectors.receiving import Wiring

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


def bundled(refused: Iterable[Refused]) -> Iterator[Refused]:
    """Put refusals of one reason together, their values one a line, as far as a dead letter keeps them whole.

    A sender without a cluster gives one letter a batch then, and not thousands.
    """
    bundles: dict[str, list[Refused]] = {}
    sizes_bytes: Counter[str] = Counter()
    for each in refused:
        reason, size_bytes = each.reason, len(each.value) + 1
        if reason in bundles and sizes_bytes[reason] + size_bytes > MAX_KEPT_BYTES:
            yield _one(bundles.pop(reason))
            del sizes_bytes[reason]
        bundles.setdefault(reason, []).append(each)
        sizes_bytes[reason] += size_bytes
    yield from map(_one, bundles.values())


def _one(bundle: Sequence[Refused]) -> Refused:
    first = bundle[0]
    if len(bundle) == 1:
        return first
    return Refused(first.reason, f"{first.message} ({len(bundle)} events)", b"\n".join(each.value for each in bundle))


async def deliver(wiring: Wiring, found: Parsed) -> Counter[str]:
    """Return once Kafka has acknowledged every row and a dead letter for all that was refused; how much, by reason.

    Raises:
        NotDeliveredError: rows that Kafka did not take.

    """
    if found.refused:
        letters = (Letter(wiring.source, each.reason, each.message, each.value) for each in bundled(found.refused))
        await wiring.letters.publish(letters)
    if found.rows:
        await wiring.outlet.deliver(found.rows)
    rejected = Counter(each.reason for each in found.refused)
    for reason, count in rejected.items():
        wiring.reject(reason, count)
    return rejected

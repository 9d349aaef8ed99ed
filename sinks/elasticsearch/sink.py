"""One lane of the sink: records in, documents written, letters sent, offsets committed; then the next."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from abdrift.clock import ClockMs
from abdrift.letters import Letter
from sinks.elasticsearch import telemetry
from sinks.elasticsearch.letters import Letters
from sinks.elasticsearch.operations import Operation
from sinks.elasticsearch.reading import MOST_LETTERS, Found
from sinks.elasticsearch.writing import Refusal, Writer, batched

log = logging.getLogger(__name__)

_POLL_MS: Final = 500
_PATIENCE_SECONDS: Final = 5.0
"""So long a batch may take before Kafka is told that nothing is wanted now."""

Records = Mapping[TopicPartition, Sequence[ConsumerRecord]]


class Lane:
    """Reads some topics in a group of their own."""

    def __init__(
        self,
        name: str,
        consumer: AIOKafkaConsumer,
        read: Callable[[ConsumerRecord], Found],
        writer: Writer,
        letters: Letters,
        *,
        clock: ClockMs,
        most_records: int,
    ) -> None:
        """Take a started consumer that commits nothing by itself."""
        self._name = name
        self._consumer = consumer
        self._read = read
        self._writer = writer
        self._letters = letters
        self._clock = clock
        self._most_records = most_records

    async def run(self) -> None:
        """Work until cancelled; what was not committed then is read again, and is there."""
        while True:
            records = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=self._most_records)
            if records:
                await self._take(records)

    async def _take(self, records: Records) -> None:
        writing = asyncio.create_task(self._write(records))
        try:
            await asyncio.wait({writing}, timeout=_PATIENCE_SECONDS)
            if not writing.done():
                await self._hold(writing)
        finally:
            writing.cancel()
        await writing
        newest_ms = max(record.timestamp for read in records.values() for record in read)
        telemetry.LAG_MS.labels(self._name).set(max(0, self._clock() - newest_ms))
        await self._commit({partition: read[-1].offset + 1 for partition, read in records.items()})

    async def _write(self, records: Records) -> None:
        found = (one for read in records.values() for record in read for one in self._read(record))
        letters: list[Letter] = []
        for batch in batched(_without_letters(found, letters), self._writer.bulk):
            letters += _of_refusals(await self._writer.write(batch))
            await self._letters.publish(letters)
            letters.clear()
        await self._letters.publish(letters)

    async def _hold(self, writing: "asyncio.Task[None]") -> None:
        """Read nothing until the writing ends, and stay in the group: a reader that does not poll is put out of it."""
        log.warning("%s: nothing is read until Elasticsearch takes what is held", self._name)
        telemetry.WAITING.labels(self._name).set(1)
        held: set[TopicPartition] = set()
        while not writing.done():
            held |= self._consumer.assignment()
            self._consumer.pause(*self._consumer.assignment())
            # A partition that came with a rebalance was not paused: what it gave is asked for again later.
            for partition, records in (await self._consumer.getmany(timeout_ms=_POLL_MS)).items():
                self._consumer.seek(partition, records[0].offset)
            await asyncio.wait({writing}, timeout=_POLL_MS / 1_000)
        self._consumer.resume(*(held & self._consumer.assignment()))
        telemetry.WAITING.labels(self._name).set(0)

    async def _commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        ours = {partition: offset for partition, offset in offsets.items() if partition in self._consumer.assignment()}
        try:
            if ours:
                await self._consumer.commit(ours)
        except KafkaError as error:
            # Whoever has the partition now, or this sink with its next batch, finds the documents written.
            log.info("%s: offsets are not committed: %s", self._name, error)
            telemetry.COMMITS_LOST.labels(self._name).inc()


def _without_letters(found: Iterable[Operation | Letter], letters: list[Letter]) -> Iterator[Operation]:
    """Yield the operations; put the letters aside."""
    for one in found:
        if isinstance(one, Letter):
            letters.append(one)
        else:
            yield one


def _of_refusals(refusals: Sequence[Refusal]) -> list[Letter]:
    """Return the letters about refused documents: one for a fact, though it was refused in two indices."""
    letters: dict[tuple[str, int, int, int | None], Letter] = {}
    rows: dict[tuple[str, int, int], int] = {}
    for refusal in refusals:
        place = refusal.operation.place
        position = place.topic, place.partition, place.offset
        if (*position, place.row) in letters:
            continue
        rows[position] = rows.get(position, 0) + 1
        if rows[position] <= MOST_LETTERS:
            letters[(*position, place.row)] = _letter(refusal)
    for position, count in rows.items():
        if count > MOST_LETTERS:
            log.error("%s/%d@%d: %d rows are refused, of which %d have letters", *position, count, MOST_LETTERS)
    return list(letters.values())


def _letter(refusal: Refusal) -> Letter:
    operation, place = refusal.operation, refusal.operation.place
    return Letter(
        place.topic,
        refusal.reason,
        refusal.message,
        operation.origin or operation.body,
        partition=place.partition,
        offset=place.offset,
        row=place.row,
    )

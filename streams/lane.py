"""One partition of one step, from its records to its commits.

A lane is the only writer of its changelog partition. It takes the partition over (claims it, republishes the last
commit's facts), then goes round: take what is buffered, process it, commit it, acknowledge it. It speaks asyncio and
knows Kafka only through `Link` and its state only through `State`; Faust stands behind both, in `streams.engine`.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from streams.commit import Ledger, OutboxFact, Owner, Seen, StateError, Write, cell_write, claim_write, recover
from streams.decode import TICK_HEADERS, TICK_KEY, Record, dead_letters
from streams.inbox import STUCK_SECONDS, Inbox, Pending
from streams.processing import Partition, Processed, Setting, partition_of_step
from streams.shared import Shared
from streams.step import Refused
from streams.telemetry import event

_STAGED_BYTES: Final = 2 * 1024 * 1024
"""Staged cells on their way at a time."""
_CLAIM_TRIES: Final = 10
_QUICK_SECONDS: Final = 0.2
"""Where a step worked for longer, its lane keeps its turn until the batch is committed: hundreds of sends, each of
which the next lane's work would hold up, take longer than the request timeout."""


class SupersededError(Exception):
    """Another worker has claimed this partition; what it writes counts, what this one writes no longer does."""


class Lane:
    """One partition's worker. `run` it as a task; `offer` it records once `ready` is set.

    Args:
        partition: Which one.
        shared: What it shares with the step's other lanes.
        begins: By input topic: the first offset there is.
        ends: By input topic: the offset after the last one there is now.

    """

    def __init__(self, partition: int, shared: Shared, begins: Mapping[str, int], ends: Mapping[str, int]) -> None:
        self.partition = partition
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._shared = shared
        self._kept: Partition | None = None
        self._ledger: Ledger | None = None
        self._next_changelog = 0
        self._inbox = Inbox(partition, shared, begins)
        self._ends = dict(ends)
        self._closing = False
        self._heal = False
        self._unsaved_records = 0
        self._saved_at = time.monotonic()
        self._tick_due = time.monotonic()

    @property
    def offsets(self) -> Mapping[str, int]:
        """By input topic: where the committed state resumes. Known once the lane is ready."""
        return {} if self._ledger is None else self._ledger.offsets

    @property
    def starts(self) -> Mapping[str, int]:
        """By input topic: where reading begins, committed before or not. Known once the lane is ready."""
        return dict(self._inbox.due)

    def offer(self, pending: Pending) -> None:
        """Take a fetched record in, unless the state or the buffer has it already."""
        tick_topic = self._shared.tick_topic
        if self._inbox.offer(pending) and tick_topic and pending.record.topic == tick_topic.name:
            self._push_tick_off()

    async def run(self) -> None:
        """Take the partition over and work until closed.

        Raises:
            SupersededError: another worker owns the partition.
            Exception: what Kafka refused, or what is wrong with the state; the worker must stop.

        """
        try:
            await self._take_over()
            self.ready.set_result(True)
            while not self._closing:
                if await self._inbox.wait(max(0.0, self._next_deadline() - time.monotonic())):
                    await self._absorb(self._inbox.take())
                elif not self._closing:
                    await self._idle()
            await self._save_if_due(now=True)
        finally:
            self._inbox.drop()
            if not self.ready.done():
                self.ready.set_result(False)

    def close(self) -> None:
        """Ask `run` to end after the batch it is at."""
        self._closing = True
        self._inbox.close()

    def _next_deadline(self) -> float:
        save = self._saved_at + self._shared.settings.persist_seconds if self._unsaved_records else float("inf")
        tick = self._tick_due if self._shared.tick_topic else float("inf")
        return min(save, tick, time.monotonic() + STUCK_SECONDS)

    async def _idle(self) -> None:
        """Do what silence calls for."""
        await self._save_if_due()
        self._inbox.ask_again_if_stuck()
        topic = self._shared.tick_topic
        if topic and time.monotonic() >= self._tick_due:
            self._push_tick_off()
            await (await self._shared.link.send(topic.name, self.partition, TICK_KEY, None, TICK_HEADERS))

    def _push_tick_off(self) -> None:
        # Owners of the same partition under different steps would otherwise tick in the same instant.
        spread = 1.0 + 0.25 * self._shared.around.jitter()
        self._tick_due = time.monotonic() + self._shared.settings.tick_interval_seconds * spread

    # Processing and committing ----------------------------------------------------------------------------------

    async def _absorb(self, taken: list[Pending]) -> None:
        shared, kept = self._shared, self._kept
        assert kept is not None, "the partition was taken over"
        records = [pending.record for pending in taken]
        async with contextlib.AsyncExitStack() as turn:
            await turn.enter_async_context(shared.turn)
            started = time.monotonic()
            done = self._process(kept, records)
            if time.monotonic() - started < _QUICK_SECONDS:
                await turn.aclose()
            await self._refuse(done.refused, records)
            await self._keep(done, kept, records)
        for pending in taken:
            pending.ack()
        shared.metrics.batches.labels(shared.step).inc()
        shared.metrics.records.labels(shared.step).inc(len(records))
        shared.metrics.rows.labels(shared.step).inc(done.rows)
        for reason, count in done.passed_over.items():
            shared.metrics.passed_over.labels(shared.step, reason).inc(count)
        shared.metrics.commit_seconds.labels(shared.step).observe(time.monotonic() - started)
        self._stage("acked")

    async def _keep(self, done: Processed[Any], kept: Partition, records: Sequence[Record]) -> None:
        """Commit what a batch led to, or note that it led to nothing."""
        offsets = {record.topic: record.offset + 1 for record in records}
        if done.encoded or done.outbox:
            for staged in done.staged:
                await self._write_staged(staged)
            await self._commit(offsets, done.encoded, done.outbox)
            kept.absorb(done)
        else:
            self._held.offsets.update(offsets)
            self._unsaved_records += len(records)
            await self._save_if_due()

    def _process(self, kept: Partition, records: Sequence[Record]) -> Processed[Any]:
        shared, started = self._shared, time.monotonic()
        lag_ms = max(0, shared.around.clock_ms() - max(record.append_ms for record in records))
        setting = Setting(self.partition, shared.partitions, lag_ms, self._restoring())
        done = kept.run(records, setting)
        seconds = time.monotonic() - started
        self._inbox.pace.learn(sum(record.rows_promised or 1 for record in records), seconds)
        shared.metrics.process_seconds.labels(shared.step).inc(seconds)
        shared.metrics.lag_ms.labels(shared.step).set(lag_ms)
        self._stage("processed")
        return done

    def _restoring(self) -> bool:
        """Whether an input has not been read to where it ended when this lane began."""
        self._ends = {topic: end for topic, end in self._ends.items() if self._held.offsets.get(topic, 0) < end}
        return bool(self._ends)

    async def _refuse(self, refused: Sequence[Refused], records: Sequence[Record]) -> None:
        """Publish dead letters, before the state says that their records are dealt with."""
        if not refused:
            return
        shared = self._shared
        by_position = {(record.topic, record.offset): record for record in records}
        letters = dead_letters(shared.step, refused, by_position, shared.around.clock_ms())
        await self._publish([shared.encode(letter) for letter in letters])
        for one in refused:
            shared.metrics.dead_letters.labels(shared.step, one.reason).inc()
        event(
            logging.WARNING,
            "refused",
            step=shared.step,
            partition=self.partition,
            count=len(refused),
            reason=refused[0].reason,
            offset=refused[0].cause.offset,
            message=refused[0].message,
        )

    async def _commit(
        self, offsets: Mapping[str, int], cells: Mapping[str, bytes | None], outbox: Sequence[OutboxFact]
    ) -> None:
        """Make a batch durable, then visible."""
        await self._write(self._held.stage(offsets, cells, outbox))
        self._stage("redo")
        self._unsaved_records = 0
        self._saved_at = time.monotonic()
        await self._settle()

    async def _write_staged(self, staged: Iterable[tuple[str, bytes]]) -> None:
        """Write cells that count once the batch is committed, a few at a time."""
        writes: list[Write] = []
        size_bytes = 0
        for key, value in staged:
            writes.append(cell_write(key, value))
            size_bytes += len(value)
            if size_bytes >= _STAGED_BYTES:
                await self._write(writes)
                writes, size_bytes = [], 0
        if writes:
            await self._write(writes)
        self._stage("staged")

    def _committed(self) -> Mapping[str, bytes]:
        """Return the cells as the last commit left them."""
        return recover(self._shared.state.items(self.partition)).cells

    async def _settle(self) -> None:
        """Publish the outbox and write the cells of the newest redo; heal what an intruder covered."""
        await asyncio.gather(self._publish_outbox(), self._flush())
        while self._heal:
            self._heal = False
            fence = self._shared.state.fence(self.partition)
            self._held.heal(fence.refused, recover(self._shared.state.items(self.partition)).cells)
            await self._write(self._held.restage())
            await self._flush()

    async def _publish_outbox(self) -> None:
        await self._publish(self._held.outbox)
        for fact in self._held.outbox:
            self._shared.metrics.facts.labels(self._shared.step, fact.topic).inc()
        self._stage("facts")

    async def _flush(self) -> None:
        if writes := self._held.flush():
            await self._write(writes)
            self._held.flushed()
        self._stage("cells")

    async def _publish(self, facts: Iterable[OutboxFact]) -> None:
        link = self._shared.link
        sent = [
            await link.send(fact.topic, fact.partition, fact.key.encode(), fact.value, fact.headers) for fact in facts
        ]
        await asyncio.gather(*sent)

    async def _save_if_due(self, *, now: bool = False) -> None:
        """Note how far was read, where records changed nothing; on leaving, also that no fact is owed."""
        settings = self._shared.settings
        due = self._unsaved_records and (
            self._unsaved_records >= settings.persist_records
            or time.monotonic() >= self._saved_at + settings.persist_seconds
        )
        if due or (now and (self._unsaved_records or self._held.outbox)):
            await self._commit({}, {}, ())

    # Owning -----------------------------------------------------------------------------------------------------

    @property
    def _held(self) -> Ledger:
        assert self._ledger is not None, "the partition is taken over before anything else"
        return self._ledger

    async def _take_over(self) -> None:
        """Claim the partition, take in what its last owner wrote up to the claim, and finish its last commit."""
        begun, state = time.monotonic(), self._shared.state
        for _ in range(_CLAIM_TRIES):
            self._next_changelog = state.next_offset(self.partition)
            owner = Owner(state.fence(self.partition).owner.epoch + 1, self._shared.worker)
            await self._append([claim_write(owner)], owner)
            if state.fence(self.partition).owner == owner:
                break
        else:
            raise StateError(f"partition {self.partition} could not be claimed in {_CLAIM_TRIES} tries")
        found = recover(state.items(self.partition))
        self._ledger = Ledger.take_over(found, owner, state.fence(self.partition).refused)
        count = len(found.cells)
        self._kept = partition_of_step(
            self._shared.running, self._shared.counts, self.partition, found.cells, self._committed
        )
        self._inbox.due.update(self._ledger.offsets)
        self._stage("claimed")
        await self._settle()
        event(
            logging.INFO,
            "partition-taken",
            step=self._shared.step,
            partition=self.partition,
            epoch=owner.epoch,
            cells=count,
            version=found.redo.version,
            seconds=f"{time.monotonic() - begun:.1f}",
        )

    async def _write(self, writes: Sequence[Write]) -> None:
        """Append to the changelog as the owner.

        Raises:
            SupersededError: somebody else has claimed the partition.

        """
        if await self._append(writes, self._held.owner):
            fence = self._shared.state.fence(self.partition)
            if fence.owner != self._held.owner:
                raise SupersededError(f"{fence.owner} owns partition {self.partition}, not {self._held.owner}")
            self._heal = True

    async def _append(self, writes: Sequence[Write], owner: Owner) -> bool:
        """Append and wait for the acknowledgements. Return whether somebody else had written in between."""
        shared = self._shared
        sent = [
            await shared.link.send(shared.state.changelog, self.partition, write.key, write.value, [owner.header()])
            for write in writes
        ]
        offsets = await asyncio.gather(*sent)
        start, stop = self._next_changelog, max(offsets) + 1
        self._next_changelog = stop
        if list(offsets) == list(range(start, stop)):
            shared.state.apply(
                self.partition,
                [Seen(o, write.key, write.value, owner) for o, write in zip(offsets, writes, strict=True)],
            )
            return False
        event(logging.WARNING, "intruder", step=shared.step, partition=self.partition, first=start, last=stop - 1)
        shared.metrics.intrusions.labels(shared.step).inc(stop - start - len(writes))
        shared.state.apply(self.partition, await shared.link.read_changelog(self.partition, start, stop))
        return True

    def _stage(self, name: str) -> None:
        self._shared.around.on_stage(name, self.partition)

"""The one file that meets Faust: steps become Faust apps, Kafka keeps their state.

Faust does group membership, assignment, fetching, tables on RocksDB with their changelog topics, and standbys. What it
does otherwise than the design asks is overruled here and told in docs/decisions/0002-engine-commit.md and
0011-restoring.md. What a partition does with its records is in `streams.lane`, how steps are run as a process in
`streams.running`.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Collection, Iterable, Mapping
from typing import Any, Final

import faust
import faust.auth
from aiokafka import TopicPartition
from faust.tables.recovery import Recovery
from faust.types import TP
from mode.threads import WorkerThread

from abdrift import kafka
from abdrift.topics import DEAD_LETTERS
from streams.commit import Owner, Seen
from streams.copies import LocalState
from streams.decode import Record
from streams.inbox import Pending
from streams.lane import Lane, SupersededError
from streams.preparation import TABLE, EngineError, changelog_topic, group_id
from streams.processing import Reader
from streams.restoring import Restorer
from streams.settings import EngineSettings, Surroundings
from streams.shared import Headers, Shared
from streams.step import AnyStep
from streams.telemetry import Metrics, event

_ANSWER_SECONDS: Final = 30.0
_STORE_OPTIONS: Final = {
    # A database a partition: Faust's defaults would let each take 200 MB of buffers.
    "write_buffer_size": 2 * 1024 * 1024,
    "max_write_buffer_number": 2,
    "target_file_size_base": 16 * 1024 * 1024,
    "block_cache_size": 4 * 1024 * 1024,
}
_FETCH_BYTES: Final = 4 * 1024 * 1024
"""Of each partition at a time. A larger record still comes, alone."""
_SEND_BYTES: Final = 256 * 1024
"""Of a partition at a time: topics bound what is sent together as they bound a record, none of ours below 1 MB. With
Faust's 16 KB, a commit of ten thousand cells took a thousand round trips."""
_MAX_REQUEST_BYTES: Final = DEAD_LETTERS.max_message_bytes


class _FencedTable(faust.Table[bytes, bytes]):
    """A table whose recovery refuses what superseded owners wrote, and fails loudly."""

    def __init__(self, app: Any, *, local: LocalState, worker: "StepWorker", **options: Any) -> None:
        super().__init__(app, **options)
        self._local = local
        self._worker = worker

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        by_partition: dict[int, list[Seen]] = {}
        for one in batch:
            message = one.message
            seen = Seen(message.offset, message.key, message.value, Owner.of(message.headers or ()))
            by_partition.setdefault(message.partition, []).append(seen)
        try:
            for partition, seen_there in by_partition.items():
                self._local.apply(partition, seen_there)
        except Exception as error:
            # Faust's recovery logs a warning and goes on, with records missing.
            self._worker.fail(error)
            raise

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        self._local.forget()
        self._local.drop_stale({tp.partition for tp in newly_assigned if tp.topic == self._local.changelog})
        self._worker.assigned()
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)


class _Recovery(Recovery):
    """Faust's recovery, but that the partitions to be worked on are read by `Restorer`; Faust still feeds standbys.

    Faust reads a changelog record by record, 110 µs each. And what takes longer than the request timeout ends its
    recovery for good, without a word.
    """

    worker: "StepWorker"

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002, ASYNC109  Faust's
        await super()._wait(coro)

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        if title != "active":
            await super()._build_offsets(consumer, tps, destination, title)
        elif tps:
            await self.worker.restore({tp.partition for tp in tps})
            for tp in tps:
                last = self.tp_to_table[tp].persisted_offset(tp)
                # Of a copy that holds more than there was a moment ago, as where the last owner still writes, Faust
                # would say that it is damaged.
                destination[tp] = -1 if last is None else min(last, self.active_highwaters[tp])


class _ConsumerThread(WorkerThread):
    """Faust's consumer has a thread of its own, which a broker that does not answer keeps from ending for ever."""

    def __init__(self, service: Any, **options: Any) -> None:
        super().__init__(service, **options)
        # What it has read and nobody took in is read again; so the process need not outlast its worker for it.
        self.daemon = True


class _FaustLink:
    """Kafka as a lane sees it, through a Faust app."""

    def __init__(self, app: Any, settings: EngineSettings, changelog: str) -> None:
        self._app = app
        self._settings = settings
        self._changelog = changelog

    async def send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> Awaitable[int]:
        sent = await self._app.producer.send(topic, key, value, partition, None, list(headers))

        async def offset() -> int:
            return int((await sent).offset)

        return offset()

    async def read_changelog(self, partition: int, start: int, stop: int) -> list[Seen]:
        found: list[Seen] = []
        where = TopicPartition(self._changelog, partition)
        async with kafka.consumer(self._settings.kafka) as consumer:
            consumer.assign([where])
            consumer.seek(where, start)
            while await consumer.position(where) < stop:
                records = (await consumer.getmany(where, timeout_ms=500)).get(where, ())
                found += [Seen(one.offset, one.key, one.value, Owner.of(one.headers)) for one in records]
        return [one for one in found if one.offset < stop]

    # Faust's pause_partitions drops what is fetched already; these are what its own full buffers use.
    def pause(self, topic: str, partition: int) -> None:
        self._app.consumer.on_buffer_full(TP(topic, partition))

    def resume(self, topic: str, partition: int) -> None:
        self._app.consumer.on_buffer_drop(TP(topic, partition))

    def seek(self, topic: str, partition: int, offset: int) -> None:
        self._app.add_future(self._app.consumer.seek(TP(topic, partition), offset))

    async def next_offset(self, topic: str, partition: int, start: int) -> int:
        where = TopicPartition(topic, partition)
        async with kafka.consumer(self._settings.kafka) as consumer, asyncio.timeout(_ANSWER_SECONDS):
            consumer.assign([where])
            consumer.seek(where, start)
            return int((await consumer.getone(where)).offset)

    def end(self, topic: str, partition: int) -> int:
        where = TP(topic, partition)
        consumer = self._app.consumer
        return (consumer.highwater(where) or 0) if where in consumer.assignment() else 0


class StepWorker:
    """One step as a Faust app: its lanes, and what Faust tells about them."""

    def __init__(
        self,
        step: AnyStep,
        settings: EngineSettings,
        counts: Mapping[str, int],
        around: Surroundings,
        metrics: Metrics,
        turn: asyncio.Lock,
    ) -> None:
        self.step = step
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._settings = settings
        self._metrics = metrics
        self._lanes: dict[int, tuple[Lane, asyncio.Task[None]]] = {}
        self._starts: dict[TP, int] = {}
        self._rebalance = 0
        self._partitions = counts[step.reads[0].name]
        self.app = _faust_app(step, settings, self._partitions)
        changelog = changelog_topic(step.name)
        self._local = LocalState(changelog)
        self._restorer = Restorer(step.name, self._local, settings.kafka, metrics)
        self._shared = Shared(
            running=step,
            encode=Reader(step, counts).encoded,
            counts=counts,
            settings=settings,
            around=around,
            metrics=metrics,
            link=_FaustLink(self.app, settings, changelog),
            state=self._local,
            worker=uuid.uuid4().hex[:12],
            lanes=lambda: len(self._lanes),
            partitions=self._partitions,
            turn=turn,
            tick_topic=next((topic for topic in step.reads if not topic.public and not topic.compacted), None),
        )
        self._wire()

    def assigned(self) -> None:
        """Note which rebalance has ended with the present assignment."""
        self._rebalance = self.app.rebalancing_count

    async def restore(self, partitions: Collection[int]) -> None:
        """Bring local copies up to date; return early where the next rebalance begins meanwhile."""
        rebalance = self._rebalance
        try:
            await self._restorer.run(partitions, lambda: self.app.rebalancing_count != rebalance)
        except Exception as error:
            self.fail(error)
            raise

    def fail(self, error: BaseException) -> None:
        """Stop the worker for this reason; the first one counts."""
        if not self.failed.done():
            self.failed.set_exception(error)

    async def start(self) -> None:
        """Join the group, recover, work. Returns once the first assignment is recovered."""
        await self.app.start()

    async def crashed(self) -> None:
        """Raise what made Faust give up. It tells nobody by itself."""
        while not self.app.crashed:  # noqa: ASYNC110  mode's event for it belongs to another loop until the app starts
            await asyncio.sleep(0.2)
        raise self.app._crash_reason or EngineError("Faust stopped without a reason")  # noqa: SLF001

    async def stop(self) -> None:
        """Finish the batches at hand and leave the group."""
        await self._drop_lanes()
        await self.app.stop()

    def _wire(self) -> None:
        app, step = self.app, self.step
        table = _FencedTable(
            app,
            local=self._local,
            worker=self,
            name=TABLE,
            partitions=self._partitions,
            key_type=bytes,
            value_type=bytes,
            # Faust counts records, not bytes; at 900 KB each this is 58 MB.
            recovery_buffer_size=64,
            options=dict(_STORE_OPTIONS),
            on_recover=self._recovered,
        )
        self._local.table = app.tables.add(table)
        recovery = _Recovery(app, app.tables, beacon=app.tables.beacon, loop=app.tables.loop)
        recovery.worker = self
        app.tables._recovery = recovery  # noqa: SLF001  Faust has no setting for it
        app.consumer._thread.Worker = _ConsumerThread  # noqa: SLF001  nor for this
        channel = app.topic(
            *(topic.name for topic in step.reads),
            partitions=self._partitions,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            allow_empty=True,
        )
        app.agent(channel, name=step.name, concurrency=1)(self._receive)
        app.on_partitions_revoked.connect(self._revoked)
        self._seek_what_nobody_committed()

    def _seek_what_nobody_committed(self) -> None:
        """Have Faust's seek place the inputs too that have no committed offset.

        It fetches from every input when it means to fetch from none, and drops what it gets. The seek afterwards
        makes up for that only where an offset above zero was committed: of a group that is new, the first records
        would never be seen.
        """
        consumer = self.app.consumer
        seek_committed = consumer.perform_seek

        async def perform_seek() -> None:
            await seek_committed()
            read, assigned = consumer._read_offset, consumer.assignment()  # noqa: SLF001  what that seek has found
            left = {tp: start for tp, start in self._starts.items() if tp in assigned and not read.get(tp)}
            if left:
                await consumer.seek_wait(left)

        consumer.perform_seek = perform_seek

    async def _receive(self, stream: Any) -> None:
        async for fetched in stream.noack().events():
            message = fetched.message
            lane = self._lanes.get(message.partition)
            if lane is None:
                self._metrics.skipped.labels(self.step.name, "not-assigned").inc()
                continue
            headers = tuple((name, bytes(value)) for name, value in message.headers or ())
            record = Record(
                message.topic,
                message.partition,
                message.offset,
                round(message.timestamp * 1000),
                message.key,
                message.value,
                headers,
            )
            lane[0].offer(Pending(record, fetched.ack))

    async def _revoked(self, *_: Any, **__: Any) -> None:
        """End the lanes before the group goes on: Kafka takes all partitions away at each rebalance."""
        await self._drop_lanes()

    async def _drop_lanes(self) -> None:
        lanes, self._lanes = self._lanes, {}
        self._metrics.lanes.labels(self.step.name).set(0)
        tasks = [task for _, task in lanes.values()]
        for lane, _ in lanes.values():
            lane.close()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._settings.stop_timeout_seconds / 2)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _recovered(self) -> None:
        """Start a lane for each partition of ours, and have Faust resume where their states say.

        Faust calls this when the tables are restored and before it seeks to the committed offsets. It ignores what
        this raises. And where the next rebalance begins meanwhile, it lets this run on beside the next call: lanes
        opened then would claim partitions that have become others', who would not be asked to claim them again.
        """
        rebalance = self._rebalance
        if self.app.rebalancing_count != rebalance:
            return
        try:
            await self._drop_lanes()
            assigned = {tp for tp in self.app.consumer.assignment() if tp.topic != self._local.changelog}
            begins, ends = await self._bounds(assigned)
            if self.app.rebalancing_count != rebalance:
                return
            for partition in sorted({tp.partition for tp in assigned}):
                self._open_lane(partition, _of_partition(begins, partition), _of_partition(ends, partition))
            lanes = dict(self._lanes)
            is_ready = all(await asyncio.gather(*(lane.ready for lane, _ in lanes.values())))
            if is_ready and self.app.rebalancing_count == rebalance:
                self._starts = {
                    TP(topic, partition): offset
                    for partition, (lane, _) in lanes.items()
                    for topic, offset in lane.starts.items()
                }
                resume = {
                    TP(topic, partition): offset
                    for partition, (lane, _) in lanes.items()
                    for topic, offset in lane.offsets.items()
                }
                # aiokafka takes it for an error to be asked for nothing.
                if resume.keys() & self.app.consumer.assignment():
                    await self.app.consumer._commit(resume)  # noqa: SLF001  a seek to the committed offsets follows
                self._metrics.lanes.labels(self.step.name).set(len(lanes))
        except Exception as error:  # noqa: BLE001  whatever it is, it would go unseen
            self.fail(error)

    async def _bounds(self, inputs: Collection[TP]) -> tuple[Mapping[TP, int], Mapping[TP, int]]:
        """Return the first offset of each input, and the one after its last.

        Faust's own consumer would answer only after a second or two: whatever it is asked waits for its poll to end.
        """
        if not inputs:
            return {}, {}
        async with kafka.consumer(self._settings.kafka) as consumer:
            tps = [TopicPartition(*tp) for tp in inputs]
            return await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)

    def _open_lane(self, partition: int, begins: Mapping[str, int], ends: Mapping[str, int]) -> None:
        lane: Lane = Lane(partition, self._shared, begins, ends)
        task = asyncio.create_task(lane.run(), name=f"{self.step.name}/{partition}")
        task.add_done_callback(self._lane_ended)
        self._lanes[partition] = (lane, task)

    def _lane_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, SupersededError):
            # The group has moved on without us; Kafka will say so at the next heartbeat and assign anew.
            event(logging.WARNING, "superseded", step=self.step.name, lane=task.get_name(), reason=error)
            patience_seconds = self._settings.rebalance_timeout_seconds + self._settings.session_timeout_seconds
            asyncio.get_running_loop().call_later(patience_seconds, self._give_up_on, task, error)
            return
        self.fail(error)

    def _give_up_on(self, ended: asyncio.Task[None], error: SupersededError) -> None:
        """Stop the worker where a superseded lane was never taken away: its partition would stand still."""
        if any(task is ended for _, task in self._lanes.values()):
            self.fail(error)


def _of_partition(offsets: Mapping[TP, int], partition: int) -> dict[str, int]:
    return {tp.topic: offset for tp, offset in offsets.items() if tp.partition == partition}


def _faust_app(step: AnyStep, settings: EngineSettings, partitions: int) -> Any:
    credentials = settings.kafka.faust_credentials()
    return faust.App(
        group_id(step.name),
        broker=settings.kafka.faust_broker(),
        broker_client_id=settings.kafka.client_id,
        broker_credentials=getattr(faust, credentials[0])(**credentials[1]) if credentials else None,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 5,
        broker_rebalance_timeout=settings.rebalance_timeout_seconds,
        broker_request_timeout=max(settings.request_timeout_seconds, settings.session_timeout_seconds),
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=_FETCH_BYTES,
        producer_acks=-1,
        producer_linger=0,
        producer_max_batch_size=_SEND_BYTES,
        producer_max_request_size=_MAX_REQUEST_BYTES,
        producer_request_timeout=settings.request_timeout_seconds,
        store="rocksdb://",
        datadir=settings.data_dir / step.name,
        table_standby_replicas=settings.standby_replicas,
        topic_partitions=partitions,
        topic_replication_factor=settings.replication_factor,
        topic_disable_leader=True,
        # Held acks would make a rebalance and a stop wait for them for minutes.
        stream_wait_empty=False,
        # Records, not bytes: what a lane may hold is bounded in bytes; this is what lies on the way to it.
        stream_buffer_maxsize=64,
        stream_recovery_delay=0.0,
        autodiscover=False,
        web_enabled=False,
    )


def quiet_faust() -> None:
    """Have Faust and its helpers say only what matters; the engine tells of the rest itself."""
    # Its helper library logs for a subclass under the subclass's module.
    for name in ("faust", "mode", "aiokafka", __name__):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mode.timers").setLevel(logging.ERROR)

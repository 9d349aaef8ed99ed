"""A workload into Kafka topics: as frames, and as JSON records the way people use it."""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

from aiokafka.admin import NewTopic
from aiokafka.errors import for_code

from abdrift import kafka
from abdrift.clock import wall_clock_ms
from abdrift.kafka import KafkaSettings
from benchmarks.workload import Workload

JSON_BATCH_BYTES: Final = 1 << 20
"""Of uncompressed JSON in a batch: a broker takes no larger one by default, and zstd sees much at once."""
_IN_FLIGHT: Final = 64
_PATIENCE_SECONDS: Final = 30.0


async def create(settings: KafkaSettings, topic: str, partitions: int, config: dict[str, str]) -> None:
    """Create a topic; an existing one is deleted first."""
    await forget(settings, topic)
    async with kafka.admin(settings) as admin:
        answer = await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=config)])
    for _, code, *message in answer.topic_errors:
        if code:
            raise for_code(code)(*message)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    async with kafka.admin(settings) as admin:
        # A producer that comes before the partitions have leaders logs an error at each try.
        while not _led(await admin.describe_topics([topic]), partitions):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} was created, and has no leaders after {_PATIENCE_SECONDS:g} s")
            await asyncio.sleep(0.1)


def _led(described: list[dict[str, Any]], partitions: int) -> bool:
    found = [partition for topic in described for partition in topic["partitions"]]
    return len(found) == partitions and all(partition["leader"] >= 0 for partition in found)


async def forget(settings: KafkaSettings, *topics: str) -> None:
    """Delete topics where they exist, and return when the broker has forgotten them."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    async with kafka.admin(settings) as admin:
        if present := set(topics) & set(await admin.list_topics()):
            await admin.delete_topics(sorted(present))
        while set(topics) & set(await admin.list_topics()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the broker still knows {topics} {_PATIENCE_SECONDS:g} s after their deletion")
            await asyncio.sleep(0.1)


async def rewind(settings: KafkaSettings, group: str, topic: str) -> None:
    """Have a group without members begin a topic anew: aiokafka's admin client can't delete groups."""
    where = await kafka.partitions(settings, topic)
    async with kafka.consumer(settings, group_id=group) as consumer:
        consumer.assign(where)
        await consumer.commit(dict.fromkeys(where, 0))


async def fill_frames(settings: KafkaSettings, topic: str, workload: Workload) -> None:
    """Write the workload's frames, each into its partition, as if they had been appended when they arrived.

    A step's clock is the broker's append time, and how fast this process fills a topic must not show in what is
    measured. The last row arrives now.
    """
    begin_ms = wall_clock_ms() - workload.arrived_ms(workload.spec.frames)
    async with kafka.producer(settings) as producer:
        sent: list[Any] = []
        for index, (partition, frame) in enumerate(workload.frames()):
            options = {"headers": list(frame.headers), "timestamp_ms": begin_ms + workload.arrived_ms(index)}
            sent.append(await producer.send(topic, frame.value, partition=partition, **options))
            sent = await _bounded(sent)
        await asyncio.gather(*sent)


async def fill_json(settings: KafkaSettings, topic: str, workload: Workload) -> None:
    """Write the workload's rows as one CloudEvent a record, in zstd batches."""
    options = {"compression_type": "zstd", "max_batch_size": JSON_BATCH_BYTES}
    async with kafka.producer(settings, **options) as producer:
        batches: dict[int, Any] = {}
        sent: list[Any] = []
        for partition, records in workload.json_events():
            batch = batches.pop(partition, None) or producer.create_batch()
            for key, value in records:
                if batch.append(key=key, value=value, timestamp=None) is None:
                    sent.append(await producer.send_batch(batch, topic, partition=partition))
                    batch = producer.create_batch()
                    batch.append(key=key, value=value, timestamp=None)
            batches[partition] = batch
            sent = await _bounded(sent)
        for partition, batch in batches.items():
            sent.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*sent)


async def _bounded(sent: list[Any]) -> list[Any]:
    """Wait for the older half once too much is under way."""
    if len(sent) < _IN_FLIGHT:
        # Encoding never waits by itself; the producer needs its turn.
        await asyncio.sleep(0)
        return sent
    await asyncio.gather(*sent[: _IN_FLIGHT // 2])
    return sent[_IN_FLIGHT // 2 :]


def log_bytes(data_dir: Path, topic: str) -> int:
    """Return what a topic takes in an embedded broker's log: records as they are fetched, headers and all."""
    # The folder of a partition that was deleted a moment ago is still there, under a longer name.
    folders = [one for one in (data_dir / "kafka").glob(f"{topic}-*") if one.name.removeprefix(f"{topic}-").isdigit()]
    return sum(path.stat().st_size for folder in folders for path in folder.glob("*.log"))

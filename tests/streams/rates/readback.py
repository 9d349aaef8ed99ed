"""What workers of rates left on a broker, read back: records, and the state that a changelog's commits tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition

from abdrift import kafka
from streams.commit import Fence, Owner, Seen, recover
from streams.preparation import changelog_topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from abdrift.kafka import KafkaSettings
    from streams.commit import Recovered
    from streams.rates import RatesStep
    from streams.step import AnyStep


async def records(settings: KafkaSettings, topic: str, partition: int) -> AsyncIterator[Any]:
    """Yield what a partition holds at the time of the call."""
    where = TopicPartition(topic, partition)
    async with kafka.consumer(settings) as consumer:
        consumer.assign([where])
        await consumer.seek_to_beginning(where)
        end = (await consumer.end_offsets([where]))[where]
        while await consumer.position(where) < end:
            for one in (await consumer.getmany(where, timeout_ms=200)).get(where, []):
                yield one


async def cells(settings: KafkaSettings, step: RatesStep, partition: int) -> tuple[dict[str, bytes], int]:
    """Return what the changelog says of a partition, and the input's next offset by it."""
    found = await recovered(settings, step, partition)
    return found.cells, found.redo.offsets.get(step.reads[0].name, 0)


async def recovered(settings: KafkaSettings, step: AnyStep, partition: int) -> Recovered:
    """Return a partition's state as its changelog tells it, read here apart from the engine."""
    fence = Fence()
    kept: dict[bytes, bytes] = {}
    async for one in records(settings, changelog_topic(step.name), partition):
        if not fence.accepts(Seen(one.offset, one.key, one.value, Owner.of(one.headers))):
            continue
        if one.value is None:
            kept.pop(one.key, None)
        else:
            kept[one.key] = one.value
    return recover(kept.items())

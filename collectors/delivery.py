"""Frames to Kafka: the one place in `collectors` that knows the client."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownProducerId,
)

from collectors.lanes import Headers, Send, UnsendableError

log = logging.getLogger(__name__)

_FINAL: Final = (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownProducerId,
)


def kafka_send(producer: AIOKafkaProducer) -> Send:
    """Return what a `Framer` sends with. The producer is idempotent and may be shared by any number of framers.

    Raises, when called: `UnsendableError` for a record above the broker's or the producer's limit; else what aiokafka
    raises, all of which is worth another try.
    """

    async def send(topic: str, partition: int, key: bytes, value: bytes, headers: Headers) -> None:
        try:
            await producer.send_and_wait(topic, value, key=key, partition=partition, headers=list(headers))
        except MessageSizeTooLargeError as error:
            raise UnsendableError(str(error)) from error

    return send


class Reconnecting:
    """Kafka by a producer that is connected when it is first needed, and anew once it can't go on.

    So Kafka may be away at the start. And where a partition has no leader for longer than aiokafka's request timeout,
    its idempotent producer gives up batches whose sequence numbers it has used: the broker then refuses all that come
    after them on that partition, for as long as the producer lives. Use as an async context manager.
    """

    def __init__(self, connect: Callable[[], AbstractAsyncContextManager[AIOKafkaProducer]]) -> None:
        """`connect` yields a started producer, or raises what is worth another try."""
        self._connect = connect
        self._connecting = asyncio.Lock()
        self._client: AIOKafkaProducer | None = None
        self._open = AsyncExitStack()
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_up(self._client)
        await asyncio.gather(*self._closing)

    async def send(self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers) -> None:
        """Send a frame. Raises as `kafka_send`, and what `connect` raises."""
        client = await self._connected()
        try:
            await kafka_send(client)(topic, partition, key, value, headers)
        except KafkaError as error:
            if _ends_its_producer(error):
                log.warning("Kafka is connected to anew: %r", error)
                self._give_up(client)
            raise

    async def answers(self) -> bool:
        """Ask Kafka for its metadata, and say whether some broker told it. Raises what `connect` raises."""
        return bool(await (await self._connected()).client.force_metadata_update())

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._client is None:
                self._client = await self._open.enter_async_context(self._connect())
            return self._client

    def _give_up(self, client: AIOKafkaProducer | None) -> None:
        """Close a producer once what it has under way is sent; the next send connects anew."""
        if client is not self._client:
            return  # another frame's failure has done it
        self._client, held, self._open = None, self._open, AsyncExitStack()
        closing = asyncio.create_task(held.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def _ends_its_producer(error: KafkaError) -> bool:
    """Whether no later record of a producer will fare better."""
    # Where aiokafka's sender has failed, all that is sent fails with an error of the base class.
    return type(error) is KafkaError or isinstance(error, _FINAL)

"""Frames to Kafka: the one place in `collectors` that knows the client."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from collectors.lanes import Headers, Send, UnsendableError


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


def answers(producer: AIOKafkaProducer) -> Callable[[], Awaitable[bool]]:
    """Return what asks Kafka for its metadata, and says whether some broker told it."""

    async def ask() -> bool:
        return bool(await producer.client.force_metadata_update())

    return ask


class LateKafka:
    """Kafka that may be away at the start: each frame tries anew to connect, until that succeeded once.

    Use as an async context manager; `send` is what a spool sends with.
    """

    def __init__(self, connect: Callable[[], AbstractAsyncContextManager[AIOKafkaProducer]]) -> None:
        """`connect` yields a started producer, or raises what is worth another try."""
        self._connect = connect
        self._connecting = asyncio.Lock()
        self._open = AsyncExitStack()
        self._send: Send | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def send(self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers) -> None:
        """Send a frame. Raises as `kafka_send`, and what `connect` raises."""
        async with self._connecting:
            if self._send is None:
                self._send = kafka_send(await self._open.enter_async_context(self._connect()))
        await self._send(topic, partition, key, value, headers)

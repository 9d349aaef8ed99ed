"""Frames to Kafka: the one place in `collectors` that knows the client."""

from collections.abc import Awaitable, Callable

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

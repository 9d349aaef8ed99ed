"""Records as Kafka gives them, without a Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka import ConsumerRecord

from abdrift import frames
from tests.sinks.elasticsearch import story

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from abdrift.signals.schema import Signal

NOW_MS = int(story.NOW.timestamp() * 1000)


def record(
    topic: str,
    value: bytes | None,
    key: bytes | None = b"key",
    offset: int = 7,
    headers: Sequence[tuple[str, bytes]] = (),
) -> ConsumerRecord[Any, Any]:
    """A record of partition 3 that Kafka took at the story's time."""
    return ConsumerRecord(
        topic, 3, offset, NOW_MS, 1, key, value, None, len(key or b""), len(value or b""), tuple(headers)
    )


def framed(topic: str, signal: Signal, columns: Mapping[str, Sequence[Any]]) -> ConsumerRecord[Any, Any]:
    """A record with a frame."""
    frame = frames.encode(signal, columns, ("tests", 1, 1))
    return record(topic, frame.value, b"tests", headers=frame.headers)

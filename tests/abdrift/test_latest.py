"""The newest fact of every key: from a real broker, up to now and then as it changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from abdrift.kafka import KafkaSettings, producer
from abdrift.latest import Latest, opened
from abdrift.topics import FLEET_DRIFT, FLEET_HEALTH
from tests.abdrift.own_topics import create

if TYPE_CHECKING:
    from abdrift.broker import EmbeddedBroker
    from abdrift.topics import Topic

pytestmark = pytest.mark.parts
DRIFT, HEALTH = (replace(topic, name=f"latest.{topic.name}") for topic in (FLEET_DRIFT, FLEET_HEALTH))


def events(latest: Latest, topic: Topic) -> dict[str, dict[str, Any]]:
    told = ((change.key, change.event()) for change in latest.changes(topic))
    return {key: event for key, event in told if event is not None}


async def test_the_newest_of_every_key_is_known_and_then_what_changes(kafka: EmbeddedBroker) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    await create(settings, DRIFT, HEALTH, partitions=2)
    latest = Latest(wanted=lambda topic, key: topic == DRIFT.name or key.startswith("cluster/"))
    async with producer(settings) as client:

        async def send(topic: str, key: str, value: bytes | None, partition: int = 0) -> None:
            await client.send_and_wait(topic, value, key.encode(), partition=partition)

        for revision in (1, 2):
            await send(DRIFT.name, "kept", b'{"revision": %d}' % revision)
        await send(DRIFT.name, "gone", b'{"revision": 1}', partition=1)
        await send(DRIFT.name, "gone", None, partition=1)
        await send(DRIFT.name, "strange", b"no JSON")
        await send(HEALTH.name, "cluster/edge-1", b'{"status": "healthy"}')
        await send(HEALTH.name, "workload/edge-1/apps", b'{"status": "healthy"}')
        async with opened(settings, [DRIFT, HEALTH], latest) as reader:
            left = [count async for count in reader.catch_up()]
            assert (left[0], left[-1]) == (reader.total, 0)
            assert events(latest, DRIFT) == {"kept": {"revision": 2}}, "what is no JSON is left out"
            assert events(latest, HEALTH) == {"cluster/edge-1": {"status": "healthy"}}, "others are not wanted"
            await send(DRIFT.name, "kept", b'{"revision": 3}')
            async for changes in reader.changes():
                if changes:
                    break
            assert [(change.key, change.event()) for change in changes] == [("kept", {"revision": 3})]
        await send(DRIFT.name, "kept", b'{"revision": 4}')
        async with opened(settings, [DRIFT, HEALTH], latest) as again:
            assert again.total == 1, "it goes on where it was"
            async for _ in again.catch_up():
                pass
    assert events(latest, DRIFT) == {"kept": {"revision": 4}}

"""A changelog write that too few replicas would keep stops the worker, loudly, and is made good once there are enough.

A topic of one copy is never refused for that, so it takes two brokers.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from abdrift import kafka
from abdrift.broker import EmbeddedBroker, ports
from streams.preparation import changelog_topic
from tests.streams.bench import PARTITIONS, WITHIN_SECONDS, Bench, bench, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.parts, pytest.mark.soak]

QUICK = {"session_seconds": 2.0, "request_seconds": 4.0}
"""How soon a worker gives up what is not acknowledged, and Kafka a worker."""


class Pair:
    """Two brokers: the first leads everything and keeps it, the second has a copy of what has two."""

    def __init__(self, folder: Path) -> None:
        self.first = EmbeddedBroker(
            folder / "first", extra_properties={"group.min.session.timeout.ms": "1000"}, heap_mb=256
        )
        self.first.start()
        self._folder = folder / "second"
        self.second: EmbeddedBroker | None = None

    def add(self) -> None:
        """Have the second broker join."""
        lines = (self.first.data_dir / "kafka" / "meta.properties").read_text().splitlines()
        (cluster_id,) = (line for line in lines if line.startswith("cluster.id="))
        (self._folder / "kafka").mkdir(parents=True)
        (self._folder / "kafka" / "meta.properties").write_text(f"version=1\nnode.id=2\n{cluster_id}\n")
        controller = json.loads((self.first.data_dir / "ports.json").read_text())["controller"]
        joining = {
            "process.roles": "broker",
            "node.id": "2",
            "controller.quorum.voters": f"1@{ports.HOST}:{controller}",
            # The embedded broker's own controller listener is none here.
            "controller.listener.names": "QUORUM",
            "listener.security.protocol.map": "QUORUM:PLAINTEXT",
        }
        self.second = EmbeddedBroker(self._folder, extra_properties=joining, heap_mb=256)
        self.second.start()

    def stop(self) -> None:
        for broker in (self.second, self.first):
            if broker:
                broker.kill()


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    made = await asyncio.to_thread(Pair, tmp_path)
    yield made
    await asyncio.to_thread(made.stop)


async def test_too_few_replicas_stop_the_worker_and_lose_nothing(pair: Pair, tmp_path: Path) -> None:
    with bench(pair.first.bootstrap_servers, tmp_path) as table:
        await on_the_first_broker(table)
        await asyncio.to_thread(pair.add)
        await changelog_in_two_copies(table)
        worker = table.start(**QUICK)
        await table.send(range(1, 20))
        await table.until_counted()
        assert pair.second
        await asyncio.to_thread(pair.second.kill)
        await table.send(range(20, 40))
        assert await asyncio.to_thread(worker.wait, WITHIN_SECONDS) > 0, table.logs()
        # The client asks again until the request timeout is over, and then says no more than that it is.
        assert "NotEnoughReplicas" in table.log(), table.logs()
        assert re.search("EngineError: .*(NotEnoughReplicas|Time(d)?[oO]ut)", table.log()), table.logs()
        assert len(await table.records(table.step.output.name)) < 39, "nothing is said that is not kept"
        await asyncio.to_thread(pair.second.start)
        table.start(**QUICK)
        await table.send(range(40, 60))
        await table.until_counted()
        await table.check()


async def on_the_first_broker(table: Bench) -> None:
    """Create the topics, and Kafka's own for groups, while there is no other broker."""
    await table.create_topics()

    async def has_coordinator() -> bool:
        async with kafka.admin(table.settings) as admin:
            try:
                await admin.find_coordinator("any")
            except KafkaError:
                return False
        return True

    await eventually(has_coordinator)


async def changelog_in_two_copies(table: Bench) -> None:
    """Create the changelog as the engine would find it where each record is kept twice or not at all."""
    name, config = changelog_topic(table.step.name), {"cleanup.policy": "compact", "min.insync.replicas": "2"}
    topic = NewTopic(name, -1, -1, {number: [1, 2] for number in range(PARTITIONS)}, config)

    async def is_whole() -> bool:
        async with kafka.admin(table.settings) as admin:
            await admin.create_topics([topic])
            found: list[dict[str, Any]] = await admin.describe_topics([name])
        partitions = [partition for one in found for partition in one["partitions"]]
        return len(partitions) == PARTITIONS and all(set(one["isr"]) == {1, 2} for one in partitions)

    await eventually(is_whole)

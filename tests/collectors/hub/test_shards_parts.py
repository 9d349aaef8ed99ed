"""Hubs that share a fleet through a real Kafka: no cluster is left alone, and none is watched twice, for long."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import NewTopic

from abdrift import kafka as clients
from collectors.hub import KafkaGroup
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from abdrift.broker import EmbeddedBroker

pytestmark = pytest.mark.parts

PARTITIONS = 12
SESSION_SECONDS = 6.0
"""The least that a broker lets a member ask for."""
CLUSTERS = [f"edge-{number:03d}" for number in range(60)]

OTHER = """
import asyncio, sys
from abdrift.kafka import KafkaSettings
from collectors.hub import KafkaGroup

async def main(servers, group, topic, partitions, session_seconds):
    settings = KafkaSettings(bootstrap_servers=servers)
    hub = KafkaGroup(settings, group, "other", int(partitions), topic=topic, session_seconds=float(session_seconds))
    running = asyncio.create_task(hub.run())
    while True:
        await hub.changed.wait()
        hub.changed.clear()
        mine = [n for n in range(1000) if hub.owns(f"edge-{n:03d}") and n < 60]
        print(*mine, sep=",", flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


class Other:
    """A hub in a process of its own, which can be stopped and let go on."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.owned: list[set[str]] = []
        """What it owned, each time that changed."""
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            numbers = [text for text in line.decode().strip().split(",") if text]
            self.owned.append({f"edge-{int(number):03d}" for number in numbers})

    @property
    def mine(self) -> set[str]:
        return self.owned[-1] if self.owned else set()


@asynccontextmanager
async def other_hub(kafka: EmbeddedBroker, group: str, topic: str) -> AsyncIterator[Other]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        OTHER,
        kafka.bootstrap_servers,
        group,
        topic,
        str(PARTITIONS),
        str(SESSION_SECONDS),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Other(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_lost_hubs_clusters_are_taken_over_and_it_lets_go_of_them(kafka: EmbeddedBroker) -> None:
    settings = clients.KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    topic, group = f"test-{secrets.token_hex(4)}", f"hubs-{secrets.token_hex(4)}"
    async with clients.admin(settings) as admin:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    first = KafkaGroup(settings, group, "first", PARTITIONS, topic=topic, session_seconds=SESSION_SECONDS)
    running = asyncio.create_task(first.run())

    def mine() -> set[str]:
        return {cluster for cluster in CLUSTERS if first.owns(cluster)}

    async def all_mine() -> bool:
        return mine() == set(CLUSTERS)

    try:
        async with other_hub(kafka, group, topic) as other:

            async def shared() -> bool:
                return bool(other.mine) and bool(mine()) and mine() | other.mine == set(CLUSTERS) == mine() ^ other.mine

            await until(shared, "two hubs share the clusters")
            before = other.mine
            os.kill(other.process.pid, signal.SIGSTOP)
            await until(all_mine, "the lost hub's clusters are taken over")
            os.kill(other.process.pid, signal.SIGCONT)
            await until(shared, "two hubs share the clusters again")
            assert other.mine == before, "a hub gets what it had"
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert mine() == set()

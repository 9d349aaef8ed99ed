"""What people are shown: all that an Elasticsearch, an exporter and the page hold of the pipeline's topics."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import yaml
from aiokafka import TopicPartition

from abdrift import kafka as clients
from abdrift.topics import FLEET_INCIDENTS
from sinks.elasticsearch.indices import FACT_TOPICS
from tests.parts.guard import Guard
from tests.parts.loopback import HOST, Ports
from tests.parts.process import Part, Program
from tests.parts.waiting import until
from tests.sinks.elasticsearch import hunting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.e2e.stack import Stack

WITHIN_SECONDS = 120.0
FACTS_GROUP = "abdrift-elasticsearch-facts"
AGAIN_SECONDS = 0.5
"""A look through all documents is not to be had for nothing."""


@asynccontextmanager
async def sinks(folder: Path, kafka: str, elasticsearch: str) -> AsyncIterator[tuple[str, str]]:
    """Run the sinks for people on what Kafka has; yield the addresses of the exporter and of the page.

    Their logs go to `logs` of the folder.
    """
    ports, guard = Ports(), Guard()
    exporter, page = (f"{HOST}:{ports.take()}" for _ in range(2))
    config = folder / "elasticsearch.yaml"
    config.write_text(yaml.safe_dump({"elasticsearch": {"urls": [elasticsearch]}, "indices": {"replicas": 0}}))
    commands = {
        "sink-elasticsearch": ("sink", "elasticsearch", "--config", str(config)),
        "sink-prometheus": ("sink", "prometheus", "--listen", exporter),
        "web": ("web", "--listen", page),
    }
    parts = [_part(folder, name, [*command, "--kafka", kafka], guard) for name, command in commands.items()]
    try:
        for part in parts:
            part.launch()
        for part in parts:
            await asyncio.to_thread(part.wait_ready)
        yield f"http://{exporter}", f"http://{page}"
    finally:
        for part in parts:
            await asyncio.to_thread(part.stop)
        guard.close()


async def indexed(kafka: str) -> None:
    """Wait until the sink has written to Elasticsearch what the fleet's topics held when this was called."""
    settings = clients.KafkaSettings(bootstrap_servers=kafka)
    async with clients.admin(settings) as admin, clients.consumer(settings) as looker:
        topics = [topic.name for topic in FACT_TOPICS.values() if topic is not FLEET_INCIDENTS]
        counts = [(topic, await clients.partition_count(settings, topic)) for topic in topics]
        ends = await looker.end_offsets([TopicPartition(topic, n) for topic, count in counts for n in range(count)])

        async def is_done() -> bool:
            await asyncio.sleep(AGAIN_SECONDS)
            written = await admin.list_consumer_group_offsets(FACTS_GROUP)
            return all(place in written and written[place].offset >= end for place, end in ends.items() if end)

        await until(is_done, "Elasticsearch has the fleet's facts", WITHIN_SECONDS)


def _part(folder: Path, name: str, command: Sequence[str], guard: Guard) -> Part:
    ready, log = folder / f"{name}.ready", folder / "logs" / f"{name}.log"
    argv = [sys.executable, "-m", "abdrift", *command]
    return Part(Program(name, argv, log, ready.exists, {"ABDRIFT_READY_FILE": str(ready)}), guard)


async def everything(stack: Stack, elasticsearch: str, public: str) -> list[tuple[str, bytes]]:
    """Return what all of them hold, once the index and the page hold what is no secret."""
    cluster, kafka = stack.site.cluster, stack.pipeline.kafka.bootstrap_servers
    async with sinks(stack.folder, kafka, elasticsearch) as (exporter, page), aiohttp.ClientSession() as client:

        async def read(url: str) -> bytes:
            async with client.get(url) as answer:
                return await answer.read() if answer.ok else b""

        async def is_shown() -> bool:
            return public.encode() in await read(f"{page}/api/clusters/{cluster}")

        async def is_indexed() -> bool:
            await asyncio.sleep(AGAIN_SECONDS)
            return bool(await hunting.found(public, elasticsearch))

        async def is_told() -> bool:
            return cluster.encode() in await read(f"{exporter}/metrics")

        await until(is_shown, "the page shows what is no secret", WITHIN_SECONDS)
        await until(is_indexed, "an index has what is no secret", WITHIN_SECONDS)
        await until(is_told, "the exporter tells of the cluster", WITHIN_SECONDS)
        urls = (f"{exporter}/metrics", f"{page}/api/fleet", f"{page}/api/clusters/{cluster}", f"{page}/metrics")
        seen = [(url, await read(url)) for url in urls]
        return [*seen, *await hunting.documents(elasticsearch)]

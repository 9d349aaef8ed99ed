"""The run's Kafka, as another team's client sees it."""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.parts import programs

if TYPE_CHECKING:
    from abdrift.broker import EmbeddedBroker

pytestmark = pytest.mark.parts

TOPIC = "tests.parts.kept"


async def create_topic(bootstrap_servers: str) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await client.start()
    try:
        await client.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
    finally:
        await client.close()


def test_kafka_keeps_its_records_and_its_address_through_a_crash(kafka: EmbeddedBroker) -> None:
    asyncio.run(create_topic(kafka.bootstrap_servers))
    kcat = [str(programs.find("kcat")), "-b", kafka.bootstrap_servers, "-t", TOPIC]
    subprocess.run([*kcat, "-P"], input="kept\n", text=True, check=True, timeout=120)
    kafka.kill()
    kafka.start()
    read = subprocess.run([*kcat, "-C", "-e", "-q"], capture_output=True, text=True, check=True, timeout=120)
    assert read.stdout == "kept\n"

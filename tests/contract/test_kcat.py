"""kcat reads the fleet topics as another team would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from abdrift import provision
from abdrift.cloudevents import CONTENT_TYPE
from abdrift.kafka import KafkaSettings, producer
from abdrift.partitions import partition_of
from abdrift.topics import TOPICS
from tests.contract import examples
from tests.contract.kcat import read_topic
from tests.contract.validate import validate_record

if TYPE_CHECKING:
    from abdrift.broker import EmbeddedBroker

pytestmark = pytest.mark.parts
CLUSTER = "edge-kcat"


async def test_each_fact_is_read_and_validates(kafka: EmbeddedBroker) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    await provision.create(settings, partitions=4, replication=1)
    published = [(topic, fact) for topic in TOPICS if topic.public for fact in topic.facts]
    async with producer(settings) as client:
        for topic, fact in published:
            await client.send_and_wait(
                topic.name,
                examples.event(fact, examples.full(fact.model), CLUSTER).encode(),
                key=fact.name.encode(),
                partition=partition_of(CLUSTER, 4),
                headers=[("content-type", CONTENT_TYPE)],
            )
        for topic, fact in published:
            if topic.compacted:
                await client.send_and_wait(
                    topic.name, None, key=b"gone/" + fact.name.encode(), partition=partition_of(CLUSTER, 4)
                )
    for topic, fact in published:
        records = {r["key"]: r for r in read_topic(kafka.bootstrap_servers, topic.name)}
        record = records[fact.name]
        validate_record(record["payload"].encode())
        assert record["partition"] == partition_of(CLUSTER, 4)
        assert record["headers"] == ["content-type", CONTENT_TYPE.decode()]
        assert record["tstype"] == "logappend"
        if topic.compacted:
            assert records[f"gone/{fact.name}"]["payload"] is None

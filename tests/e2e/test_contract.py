"""What is published follows its published schema, read as another team would: by kcat."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from abdrift.topics import FACT_TYPES, FINDING, TOPICS, Format
from tests.contract.kcat import read_topic
from tests.contract.validate import validate_record
from tests.e2e import edits

if TYPE_CHECKING:
    from tests.e2e.stack import Stack

pytestmark = [pytest.mark.parts, pytest.mark.together, pytest.mark.asyncio(loop_scope="session")]

PUBLIC = [topic.name for topic in TOPICS if topic.public and topic.format is Format.CLOUDEVENT]


async def test_kcat_reads_what_happened_and_each_record_validates(stack: Stack) -> None:
    app = await stack.deploy()
    await edits.image(app)
    finding = await stack.finding(app, "changed", app.web)
    await stack.corrected(app, finding)
    # A process of its own: thousands of records take seconds, for which other tests would stand still.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as judges:
        seen = await asyncio.get_running_loop().run_in_executor(
            judges, judged, stack.pipeline.kafka.bootstrap_servers, PUBLIC
        )
    assert FINDING.name in seen
    expected = {"finding", "verdict", "inventory", "health", "policy", "command", "decision", "outcome"}
    assert expected <= {name.split(".")[-2] for name in seen}
    assert not stack.log.unreadable


def judged(bootstrap_servers: str, topic_names: list[str]) -> set[str]:
    """Validate every record of some topics, and return the types seen."""
    seen: set[str] = set()
    topics = [topic for topic in TOPICS if topic.name in topic_names]
    # Side by side, as kcat waits at the end of each partition.
    with ThreadPoolExecutor(len(topics)) as readers:
        read = list(readers.map(lambda topic: read_topic(bootstrap_servers, topic.name), topics))
    for topic, records in zip(topics, read, strict=True):
        for record in records:
            if record["payload"] is None:
                assert topic.compacted or "abdrift-kind" in record["headers"], (topic.name, record)
                continue
            validate_record(record["payload"].encode())
            told = str(json.loads(record["payload"])["type"])
            assert FACT_TYPES[told] in topic.facts
            seen.add(told)
    return seen

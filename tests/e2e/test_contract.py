"""What is published follows its published schema, read as another team would: by kcat."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from abdrift.topics import FACT_TYPES, FINDING, TOPICS, Format
from tests.contract.kcat import read_topic
from tests.contract.validate import validate_record
from tests.e2e import edits

if TYPE_CHECKING:
    from tests.e2e.stack import Stack

pytestmark = [pytest.mark.parts, pytest.mark.together, pytest.mark.asyncio(loop_scope="session")]

PUBLIC = [topic for topic in TOPICS if topic.public and topic.format is Format.CLOUDEVENT]


async def test_kcat_reads_what_happened_and_each_record_validates(stack: Stack) -> None:
    app = await stack.deploy()
    await edits.image(app)
    finding = await stack.finding(app, "changed", app.web)
    await stack.corrected(app, finding)
    servers = stack.pipeline.kafka.bootstrap_servers
    seen: set[str] = set()
    for topic in PUBLIC:
        for record in await asyncio.to_thread(read_topic, servers, topic.name):
            if record["payload"] is None:
                assert topic.compacted or "abdrift-kind" in record["headers"], (topic.name, record)
                continue
            validate_record(record["payload"].encode())
            assert FACT_TYPES[_type(record["payload"])] in topic.facts
            seen.add(_type(record["payload"]))
    assert FINDING.name in seen
    expected = {"finding", "verdict", "inventory", "health", "policy", "command", "decision", "outcome"}
    assert expected <= {name.split(".")[-2] for name in seen}
    assert not stack.log.unreadable


def _type(payload: str) -> str:
    return str(json.loads(payload)["type"])

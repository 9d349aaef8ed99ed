"""`abdrift sink elasticsearch`: its example, its errors, and a run of it as a process."""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from elasticsearch import AsyncElasticsearch
from typer.testing import CliRunner

from abdrift import cli, provision
from abdrift import kafka as clients
from abdrift.cli import sink_elasticsearch
from abdrift.topics import FINDING, FLEET_DRIFT
from sinks.elasticsearch.config import ElasticsearchConfig
from sinks.elasticsearch.indices import facts_index
from tests.parts.guard import Guard
from tests.parts.process import Part, Program
from tests.parts.waiting import until
from tests.sinks.elasticsearch import story

if TYPE_CHECKING:
    from pathlib import Path

    from abdrift.broker import EmbeddedBroker
    from tests.parts.elasticsearch import Elasticsearch


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.build(), ["sink", "elasticsearch", *arguments])


def test_the_example_says_what_is_so_by_default(tmp_path: Path) -> None:
    printed = run("--example").stdout
    assert printed == sink_elasticsearch.EXAMPLE
    key = tmp_path / "key"
    key.write_text("k")
    given = yaml.safe_load(printed)
    given["elasticsearch"]["api_key_file"] = str(key)
    settings = ElasticsearchConfig.model_validate(given)
    server = {"urls": ["https://elasticsearch:9200"], "api_key_file": str(key)}
    assert settings == ElasticsearchConfig(elasticsearch=server)


def test_what_is_wrong_with_a_file_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "elasticsearch.yaml"
    file.write_text("elasticsearch: {urls: [http://es:9200], user: me}")
    failed = run("--config", str(file))
    assert failed.exit_code == 2
    assert "elasticsearch.user" in failed.output


@pytest.mark.parts
async def test_a_fact_is_there_soon_and_the_process_ends_when_it_is_told(
    kafka: EmbeddedBroker, elasticsearch: Elasticsearch, tmp_path: Path
) -> None:
    name = f"t{secrets.token_hex(4)}"
    settings = clients.KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    await provision.create(settings, partitions=4, replication=1)
    config, ready = tmp_path / "config.yaml", tmp_path / "ready"
    given = {"elasticsearch": {"urls": [elasticsearch.url]}, "indices": {"replicas": 0}, "group": name}
    config.write_text(yaml.safe_dump(given | {"facts": {"topics": ["drift"]}}))
    command = [sys.executable, "-m", "abdrift", "sink", "elasticsearch", "--config", config]
    program = Program(
        "sink",
        [*command, "--kafka", kafka.bootstrap_servers],
        tmp_path / "sink.log",
        ready.exists,
        {"ABDRIFT_READY_FILE": str(ready)},
    )
    guard = Guard()
    sink = Part(program, guard)
    try:
        await asyncio.to_thread(sink.start)
        finding, now = story.finding(name, name), datetime.now(UTC)
        event = FINDING.event(name, finding, event_id=name, source="/tests", at=now, cluster=name)
        async with clients.producer(settings) as producer:
            await producer.send_and_wait(FLEET_DRIFT.name, event.encode(), name.encode(), 0)
        async with AsyncElasticsearch(elasticsearch.url) as client:
            await until(lambda: _is_there(client, facts_index("drift", now), name), "the fact is in both indices")
        assert sink.log_tail().count("Traceback") == 0
        process = sink._process
        assert process
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 20) == 0
    finally:
        await asyncio.to_thread(sink.kill)
        guard.close()


async def _is_there(client: AsyncElasticsearch, index: str, name: str) -> bool:
    patient = client.options(ignore_status=(404, 503))  # an index has no shard the moment it is made
    facts = await patient.get(index=index, id=name)
    current = await patient.get(index="abdrift-current-drift", id=name)
    return bool(facts.body.get("found") and current.body.get("found"))

"""`abdrift topics`, and what it stands on, against a real Kafka."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import typer
from aiokafka.admin import NewPartitions, NewTopic
from typer.testing import CliRunner

from abdrift import frames, provision
from abdrift.cli import topics as command
from abdrift.kafka import KafkaSettings, admin, producer
from abdrift.partitions import partition_of
from abdrift.provision import Found, ProvisionError
from abdrift.signals import objects
from abdrift.signals.objects import ObjectRow
from abdrift.topics import FLEET_DRIFT, FLEET_HEALTH, FLEET_REDUCED, OBJECTS, TOPICS
from tests.abdrift.frame_rows import T0

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from abdrift.broker import EmbeddedBroker

parts = pytest.mark.parts
PARTITIONS = 4


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)
    return CliRunner().invoke(app, ["topics", *arguments])


def lines(*arguments: str) -> list[dict[str, Any]]:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return [orjson.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
async def settings(kafka: EmbeddedBroker) -> AsyncIterator[KafkaSettings]:
    """A broker that holds none of the contract's topics, before and after."""
    found = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    await _delete_all(found)
    yield found
    await _delete_all(found)


async def _delete_all(settings: KafkaSettings) -> None:
    async with admin(settings) as client:
        present = set(await client.list_topics()) & {topic.name for topic in TOPICS}
        if present:
            await client.delete_topics(sorted(present))
    async with asyncio.timeout(90):
        while {s.found for s in await provision.inspect(settings)} != {Found.MISSING}:  # noqa: ASYNC110  Kafka tells nobody
            await asyncio.sleep(0.1)


async def found(settings: KafkaSettings, **options: Any) -> dict[str, provision.TopicState]:
    return {state.topic.name: state for state in await provision.inspect(settings, **options)}


@parts
async def test_creating_twice_changes_nothing(settings: KafkaSettings) -> None:
    first = await provision.create(settings, partitions=PARTITIONS, replication=1)
    second = await provision.create(settings, partitions=PARTITIONS, replication=1)
    assert {state.found for state in first} == {Found.CREATED}
    assert {state.found for state in second} == {Found.PRESENT}
    for state in second:
        assert state.partitions == (1 if state.topic is FLEET_REDUCED else PARTITIONS)


@parts
async def test_what_differs_is_said_and_left_alone(settings: KafkaSettings) -> None:
    await provision.create(settings, partitions=PARTITIONS, replication=1)
    async with admin(settings) as client:
        await client.create_partitions({FLEET_DRIFT.name: NewPartitions(total_count=PARTITIONS + 1)})
    async with asyncio.timeout(90):
        while (await found(settings))[FLEET_DRIFT.name].partitions == PARTITIONS:  # noqa: ASYNC110  likewise
            await asyncio.sleep(0.1)
    state = (await found(settings, partitions=PARTITIONS))[FLEET_DRIFT.name]
    assert (state.found, state.differences) == (Found.DIFFERS, ("partitions is 5, not 4",))
    await provision.create(settings, partitions=PARTITIONS, replication=1)
    assert (await found(settings, partitions=PARTITIONS))[FLEET_DRIFT.name] == state


@parts
async def test_a_topic_made_by_hand_tells_which_settings_differ(settings: KafkaSettings) -> None:
    async with admin(settings) as client:
        await client.create_topics([NewTopic(FLEET_HEALTH.name, PARTITIONS, 1)])
    await provision._until_seen(settings, {FLEET_HEALTH.name})
    state = (await found(settings, partitions=PARTITIONS))[FLEET_HEALTH.name]
    assert "cleanup.policy is delete, not compact" in state.differences
    assert "message.timestamp.type is CreateTime, not LogAppendTime" in state.differences


@parts
async def test_new_topics_must_agree_with_the_others(settings: KafkaSettings) -> None:
    async with admin(settings) as client:
        await client.create_topics([NewTopic(FLEET_HEALTH.name, 3, 1)])
    await provision._until_seen(settings, {FLEET_HEALTH.name})
    with pytest.raises(ProvisionError, match="has 3 partitions, not 4"):
        await provision.create(settings, partitions=PARTITIONS, replication=1)
    assert (await found(settings))[FLEET_DRIFT.name].found is Found.MISSING


@parts
async def test_a_refusal_of_the_broker_is_told(settings: KafkaSettings) -> None:
    with pytest.raises(ProvisionError, match="InvalidReplicationFactor"):
        await provision.create(settings, partitions=PARTITIONS, replication=3)


@parts
def test_create_list_and_their_exit_codes(kafka: EmbeddedBroker, settings: KafkaSettings) -> None:
    at = ("--kafka", kafka.bootstrap_servers)
    assert {line["state"] for line in lines("list", *at, "--json")} == {"missing"}
    assert {line["state"] for line in lines("create", *at, "--partitions", "4", "--json")} == {"created"}
    assert {line["state"] for line in lines("create", *at, "--partitions", "4", "--json")} == {"present"}
    shown = run("list", *at)
    assert shown.exit_code == 0
    assert "present" in shown.stdout
    differing = run("create", *at, "--partitions", "5", "--json")
    assert differing.exit_code == 1
    assert orjson.loads(differing.stdout.splitlines()[0])["differences"] == ["partitions is 4, not 5"]


async def _publish(settings: KafkaSettings) -> None:
    await provision.create(settings, partitions=PARTITIONS, replication=1)
    at = partition_of("edge-1", PARTITIONS)
    rows = [ObjectRow(cluster=c, op="added", observed_ms=T0, object=b'{"a":1}') for c in ("edge-1", "edge-x")]
    frame = frames.encode(objects.OBJECTS, objects.columns_of(rows), ("kubernetes/edge-1", 1, 0))
    async with producer(settings) as client:
        await client.send_and_wait(OBJECTS.name, frame.value, partition=at, headers=list(frame.headers))
        await client.send_and_wait(OBJECTS.name, frame.value[:-9], partition=at, headers=list(frame.headers))
        await client.send_and_wait(
            OBJECTS.name, None, partition=at, headers=[("abdrift-kind", b"tick")], key=b"abdrift-tick"
        )
        for value in (b'{"cluster":"edge-1","subject":"f1"}', None, b"{", b"[1]", b"\xff"):
            await client.send_and_wait(FLEET_DRIFT.name, value, key=b"f1", partition=at)


@parts
async def test_what_is_printed(kafka: EmbeddedBroker, settings: KafkaSettings) -> None:
    await _publish(settings)
    at = ("--kafka", kafka.bootstrap_servers)
    printed = await asyncio.to_thread(lines, "cat", "signals.objects", *at)
    assert [line.get("object") for line in printed] == [{"a": 1}, {"a": 1}, None]
    assert printed[2]["unreadable"] == "bad-checksum"
    printed = await asyncio.to_thread(lines, "cat", "signals.objects", *at, "--cluster", "edge-1", "--limit", "1")
    assert [line["cluster"] for line in printed] == ["edge-1"]
    facts = await asyncio.to_thread(lines, "cat", "fleet.drift", *at)
    assert [line["offset"] for line in facts] == [0, 1, 2, 3, 4]
    assert facts[0]["subject"] == "f1"
    assert facts[1]["tombstone"]
    assert facts[3]["unreadable"] == "list, not a JSON object"
    assert all(line["key"] == "f1" for line in facts)
    assert all("unreadable" in line for line in facts[2:])
    last = await asyncio.to_thread(lines, "cat", "fleet.drift", *at, "--cluster", "edge-1", "--last", "2")
    assert [line["offset"] for line in last] == [3, 4]


def test_describe_tells_what_the_contract_says() -> None:
    (described,) = lines("describe", "fleet.drift", "--json")
    assert described["config"]["cleanup.policy"] == "compact"
    assert described["topic"] == FLEET_DRIFT.name
    assert "abdrift.fleet.drift.v1" in run("describe", "abdrift.fleet.drift.v1").stdout


def test_an_unknown_topic_names_those_there_are() -> None:
    result = run("describe", secrets.token_hex(4))
    assert result.exit_code == 2
    assert "fleet.drift" in result.output

"""The examples for other teams do what they say, on a real broker with real records."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiokafka.admin import NewTopic

from abdrift import frames, paths, provision
from abdrift.broker import jars, java
from abdrift.cloudevents import CONTENT_TYPE, CloudEvent
from abdrift.contract import examples
from abdrift.kafka import KafkaSettings, admin, producer
from abdrift.partitions import partition_of
from abdrift.signals import schema
from abdrift.signals.events import EVENTS, EventRow
from abdrift.topics import FINDING, FLEET_DRIFT, FLEET_HEALTH, HEALTH, VERDICT
from benchmarks.java import _jars as locked
from tests.abdrift import frame_rows

if TYPE_CHECKING:
    from abdrift.broker import EmbeddedBroker

FOLDER = Path(__file__).parents[2] / "docs" / "examples"
PARTITIONS = 4
Records = list[tuple[str, bytes | None]]


def test_every_example_is_in_the_contract_s_page() -> None:
    page = (FOLDER.parent / "contract.md").read_text()
    shown = set(re.findall(r"`docs/examples/([^`]+)`", page))
    assert shown == {path.name for path in FOLDER.iterdir() if path.is_file()}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_an_example_needs_nothing_of_abdrift(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert roots <= {"aiokafka", "orjson", "pyarrow"}


def finding(key: str, cluster: str, **changed: Any) -> bytes:
    """The contract's example of a finding, about another cluster, as an Abdrift to come might write it."""
    event = orjson.loads(examples.records()[FINDING.name].encode())
    event["data"] |= {"cluster": {"name": cluster, "novelty": 1}, "finding_id": key, "novelty": {"of": 2027}} | changed
    event |= {"subject": key, "cluster": cluster, "traceparent": "00-a-b-01"}
    return orjson.dumps(event)


def first(cluster: str) -> Records:
    return [
        (f"{cluster}/a", finding(f"{cluster}/a", cluster)),
        (f"{cluster}/a", finding(f"{cluster}/a", cluster)),  # a replay
        (f"{cluster}/verdict", examples.records()[VERDICT.name].model_copy(update={"cluster": cluster}).encode()),
        (f"{cluster}/b", finding(f"{cluster}/b", cluster, kind="weather", fields=[], managers=[])),
        (f"{cluster}/c", orjson.dumps({"type": "dev.abdrift.fleet.weather.v1", "data": []})),
    ]


def second(cluster: str) -> Records:
    return [
        (f"{cluster}/a", finding(f"{cluster}/a", cluster, state="closed", revision=2)),
        (f"{cluster}/b", None),
    ]


async def with_topics(kafka: EmbeddedBroker) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    await provision.create(settings, partitions=PARTITIONS, replication=1)


async def send(kafka: EmbeddedBroker, topic: str, cluster: str, records: Records) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    place = partition_of(cluster, PARTITIONS)
    async with producer(settings) as client:
        for key, value in records:
            headers = [("content-type", CONTENT_TYPE)] if value else []
            await client.send_and_wait(topic, value, key.encode(), partition=place, headers=headers)


def lines(*command: str | Path) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def java_command() -> list[str]:
    """Compile the Java example as benchmarks' peers are, with Kafka's own jars. Returns what runs it."""
    source, libraries = FOLDER / "Consume.java", jars.ensure()
    classes = paths.cache_dir() / "examples" / hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    class_path = jars.class_path((classes, *libraries))
    if not (classes / "Consume.class").exists():
        (compiler,) = locked("ecj", None)
        lines(java.find(), "-jar", compiler, "-21", "-proc:none", "-cp", class_path, "-d", classes, source)
    quiet = {"log4j2.level": "ERROR"}
    return [*java.command(java.find(), class_path=class_path, heap_mb=128, settings=quiet), "Consume"]


FIELD = "Deployment shop/web: /spec/replicas 3 -> 5 by kubectl-edit"


@pytest.mark.parts
@pytest.mark.parametrize("language", ["python", "java"])
async def test_a_group_resumes_and_passes_over_what_it_does_not_know(kafka: EmbeddedBroker, language: str) -> None:
    await with_topics(kafka)
    cluster = f"edge-{language}"
    program = [sys.executable, str(FOLDER / "consume.py")] if language == "python" else java_command()
    command = [*program, kafka.bootstrap_servers, cluster, "--once"]
    await send(kafka, FLEET_DRIFT.name, cluster, first(cluster))
    assert [line for line in lines(*command) if cluster in line] == [
        f"open changed {cluster} {FIELD}",
        f"open weather {cluster} Deployment shop/web: ",
    ]
    await send(kafka, FLEET_DRIFT.name, cluster, second(cluster))
    assert lines(*command) == [f"closed changed {cluster} {FIELD}", f"gone {cluster}/b"], "what came since, alone"


@pytest.mark.parts
async def test_a_shell_reads_in_a_group_too(kafka: EmbeddedBroker) -> None:
    await with_topics(kafka)
    cluster = "edge-shell"
    command = [FOLDER / "consume.sh", kafka.bootstrap_servers, cluster]
    await send(kafka, FLEET_DRIFT.name, cluster, first(cluster))
    told = [line.split(" ", 2) for line in lines(*command) if cluster in line]
    assert [key for _, key, _ in told] == [key for key, _ in first(cluster)]
    assert [json.encode() for _, _, json in told] == [value for _, value in first(cluster)]
    await send(kafka, FLEET_DRIFT.name, cluster, second(cluster))
    again = lines(*command)
    assert [line.split(" ")[:2] for line in again] == [["fact", f"{cluster}/a"], ["gone", f"{cluster}/b"]]


def health(cluster: str, status: str, revision: int) -> bytes:
    event: CloudEvent = examples.records()[HEALTH.name]
    key = f"cluster/{cluster}"
    data = event.data | {"resource_id": key, "scope": "cluster", "status": status, "revision": revision}
    return event.model_copy(update={"subject": key, "cluster": cluster, "data": data}).encode()


@pytest.mark.parts
async def test_the_newest_of_each_key_is_told(kafka: EmbeddedBroker) -> None:
    await with_topics(kafka)
    records: Records = [
        ("cluster/edge-newest", health("edge-newest", "failing", 1)),
        ("cluster/edge-newest-gone", health("edge-newest-gone", "failing", 1)),
        ("cluster/edge-newest", health("edge-newest", "healthy", 2)),
        ("cluster/edge-newest", health("edge-newest", "failing", 1)),  # a replay
        ("cluster/edge-newest-gone", None),
    ]
    await send(kafka, FLEET_HEALTH.name, "edge-newest", records)
    told = lines(sys.executable, FOLDER / "newest.py", kafka.bootstrap_servers, "--once")
    assert [line.split(", ")[0] for line in told if "edge-newest" in line] == [
        "cluster/edge-newest healthy since 2026-11-23T07:00:03.118Z"
    ]


@pytest.mark.parts
async def test_frames_are_read_as_tables(kafka: EmbeddedBroker) -> None:
    topic, settings = "tests.examples.frames", KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    rows: list[EventRow] = [frame_rows.event(number) for number in range(200)]
    async with admin(settings) as client:
        await client.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    async with producer(settings) as client:
        for part in (rows[:150], rows[150:]):
            frame = frames.encode(EVENTS, schema.columns(EVENTS, part), ("tests/1", 1, 0))
            await client.send_and_wait(topic, frame.value, partition=0, headers=[*frame.headers])
        await client.send_and_wait(topic, None, b"abdrift-tick", partition=0)
    *counted, newest = lines(sys.executable, FOLDER / "frames.py", kafka.bootstrap_servers, topic)
    assert counted == [f"{name} {number}" for name, number in sorted(Counter(row.cluster for row in rows).items())]
    assert ast.literal_eval(newest) == {column.name: getattr(rows[-1], column.name) for column in EVENTS.columns}

"""Against a real Elasticsearch and a real Kafka: whatever fails on the way, everything is there exactly once."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from elasticsearch import AsyncElasticsearch
from prometheus_client import REGISTRY

from abdrift import frames
from abdrift import kafka as clients
from abdrift.clock import to_datetime, wall_clock_ms
from abdrift.signals import logs
from abdrift.signals.logs import LOGS, LogRow
from abdrift.topics import FINDING, FLEET_DRIFT
from abdrift.topics import LOGS as LOGS_TOPIC
from sinks.elasticsearch import features, setup, sink
from sinks.elasticsearch.config import Bulk, ElasticsearchConfig
from sinks.elasticsearch.indices import facts_index
from sinks.elasticsearch.operations import Action, Operation, Place
from sinks.elasticsearch.places import Places
from sinks.elasticsearch.reading import FactsReader, SignalsReader
from sinks.elasticsearch.sink import Lane
from sinks.elasticsearch.writing import Writer
from tests.parts.waiting import until
from tests.sinks.elasticsearch import hunting, story
from tests.sinks.elasticsearch.records import NOW_MS
from tests.sinks.elasticsearch.trouble import Failure, Trouble

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from aiokafka import ConsumerRecord

    from abdrift.broker import EmbeddedBroker
    from abdrift.letters import Letter
    from tests.parts.elasticsearch import Elasticsearch

pytestmark = pytest.mark.parts

OCTOBER = datetime(2026, 10, 31, 23, 59, 50, tzinfo=UTC)
AWAY_SECONDS = 1.0
PARTITIONS = 2


class Recorder:
    """Letters that were written."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []

    async def publish(self, letters: Iterable[Letter]) -> None:
        self.letters += letters


@dataclasses.dataclass
class Bench:
    """Topics of a test's own in the places of the contract's, a server that fails when told, and its client."""

    kafka: clients.KafkaSettings
    config: ElasticsearchConfig
    client: AsyncElasticsearch
    trouble: Trouble
    admin: AIOKafkaAdminClient
    looker: AIOKafkaConsumer
    facts: str
    rows: str
    letters: Recorder = dataclasses.field(default_factory=Recorder)

    @property
    def stream(self) -> str:
        return f"logs-abdrift.logs-{self.config.logs.data_stream_namespace}"

    def _named(self, record: ConsumerRecord) -> ConsumerRecord:
        return dataclasses.replace(record, topic=FLEET_DRIFT.name if record.topic == self.facts else LOGS_TOPIC.name)

    @asynccontextmanager
    async def running(self, group: str) -> AsyncIterator[None]:
        """Run both lanes in groups of a name."""
        async with (
            self.config.elasticsearch.client() as client,
            clients.consumer(self.kafka, self.facts, group_id=f"{group}-facts") as facts,
            clients.consumer(self.kafka, self.rows, group_id=f"{group}-rows") as rows,
        ):
            readers: list[tuple[str, Any, Callable[..., Any]]] = [
                ("facts", facts, FactsReader(self.config, Places(), lambda: NOW_MS)),
                ("signals", rows, SignalsReader(self.config, Places())),
            ]
            lanes = [
                Lane(
                    name,
                    consumer,
                    lambda record, read=read: read(self._named(record)),
                    Writer(client, self.config.bulk),
                    self.letters,  # type: ignore[arg-type]
                    clock=wall_clock_ms,
                    most_records=100,
                ).run()
                for name, consumer, read in readers
            ]
            work = asyncio.gather(*lanes)
            try:
                yield
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)

    async def send(self, numbers: Iterable[int]) -> None:
        """Send a finding and a frame of two log lines for each number."""
        async with clients.producer(self.kafka) as producer:
            for number in numbers:
                at = OCTOBER + timedelta(seconds=number)
                finding = story.finding(f"{self.facts}-{number}", self.facts)
                event = FINDING.event(
                    finding.finding_id, finding, event_id=finding.finding_id, source="/tests", at=at, cluster=self.facts
                )
                await producer.send(
                    self.facts, event.encode(), finding.finding_id.encode(), partition=number % PARTITIONS
                )
                rows = [
                    LogRow(
                        cluster=self.facts,
                        sender="t",
                        severity="error",
                        time_ms=0,
                        observed_ms=0,
                        message=f"{number}/{row}",
                    )
                    for row in range(2)
                ]
                frame = frames.encode(LOGS, logs.columns_of(rows), ("tests", 1, number))
                await producer.send(self.rows, frame.value, b"tests", number % PARTITIONS, headers=list(frame.headers))
            await producer.flush()

    async def read_up(self, group: str) -> bool:
        """Tell whether the lanes of a group have committed all there is."""
        committed: dict[TopicPartition, Any] = {}
        for suffix in ("facts", "rows"):
            committed |= await self.admin.list_consumer_group_offsets(f"{group}-{suffix}")
        places = [TopicPartition(topic, number) for topic in (self.facts, self.rows) for number in range(PARTITIONS)]
        ends = await self.looker.end_offsets(places)
        return all(place in committed and committed[place].offset >= end for place, end in ends.items() if end)

    async def found(self, index: str) -> list[tuple[str, str]]:
        """Return the ids and indices of this test's documents."""
        await self.client.indices.refresh(index=index)
        answer = await self.client.search(
            index=index, query={"term": {"orchestrator.cluster.name": self.facts}}, size=10_000, source=False
        )
        return [(hit["_id"], hit["_index"]) for hit in answer["hits"]["hits"]]


@pytest.fixture
async def bench(kafka: EmbeddedBroker, elasticsearch: Elasticsearch) -> AsyncIterator[Bench]:
    name = f"t{secrets.token_hex(4)}"
    settings = clients.KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    topics = {noun: f"{name}-{noun}" for noun in ("facts", "rows")}
    given = {"indices": {"replicas": 0}, "logs": {"data_stream_namespace": name}}
    bulk = Bulk(documents=40, backoff_initial_seconds=0.1, backoff_max_seconds=0.3)
    async with (
        clients.admin(settings) as admin,
        clients.consumer(settings) as looker,
        Trouble(elasticsearch.url) as trouble,
        AsyncElasticsearch(elasticsearch.url) as client,
    ):
        config = {"message.timestamp.type": "LogAppendTime"}
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs=config) for topic in topics.values()])
        server = {"urls": [trouble.url], "request_seconds": 20}
        settled = ElasticsearchConfig(elasticsearch=server, bulk=bulk, **given)
        await setup.install(client, settled, await features.asked(client))
        yield Bench(settings, settled, client, trouble, admin, looker, **topics)


@pytest.mark.parametrize(
    "away_seconds", [AWAY_SECONDS, pytest.param(300.0, marks=[pytest.mark.soak, pytest.mark.timeout(900)])]
)
async def test_everything_is_there_once_through_an_outage_refusals_and_a_replay_across_rollovers(
    bench: Bench, elasticsearch: Elasticsearch, away_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "_PATIENCE_SECONDS", 0.5)
    async with bench.running("first"):
        await bench.send(range(20))
        await until(lambda: bench.read_up("first"), "the first facts are written", 60)
        await asyncio.to_thread(elasticsearch.part.stop)
        await bench.send(range(20, 100))
        await until(_is_held, "nothing is read while Elasticsearch is away")
        await asyncio.sleep(away_seconds)
        bench.trouble.bring([*Failure, Failure.SOME, Failure.LOST])
        await asyncio.to_thread(elasticsearch.part.start)
        await bench.client.indices.rollover(alias=bench.stream)
        await until(lambda: bench.read_up("first"), "all is written after the outage", 90)
    await bench.client.indices.rollover(alias=bench.stream)
    async with bench.running("second"):  # which reads from the beginning
        await until(lambda: bench.read_up("second"), "all is read again", 90)
    assert not bench.trouble.failures, "each failure was met"
    facts = await bench.found("abdrift-facts-drift-*")
    assert sorted(name for name, _ in facts) == sorted(f"{bench.facts}-{number}" for number in range(100))
    months = {index: sum(at == index for _, at in facts) for _, index in facts}
    assert months == {"abdrift-facts-drift-2026.10": 10, "abdrift-facts-drift-2026.11": 90}
    assert len(await bench.found("abdrift-current-drift")) == 100
    rows = await bench.found(bench.stream)
    assert len({name for name, _ in rows}) == len(rows) == 200
    assert not bench.letters.letters


async def _is_held() -> bool:
    return REGISTRY.get_sample_value("abdrift_elasticsearch_waiting", {"lane": "facts"}) == 1


async def test_what_it_cannot_take_becomes_a_letter_and_holds_nothing_up(bench: Bench) -> None:
    bad = story.finding("bad", revision=2**63)  # fits no long
    async with clients.producer(bench.kafka) as producer:
        for value in (b"no JSON", FINDING.event("bad", bad, event_id="bad", source="/t", at=OCTOBER).encode()):
            await producer.send_and_wait(bench.facts, value, b"bad", 0)
    await bench.send([0])
    async with bench.running("group"):
        await until(lambda: bench.read_up("group"), "all is read")
    told = [(letter.reason, letter.partition, letter.offset) for letter in bench.letters.letters]
    assert sorted(told) == [("bad-event", 0, 0), ("unmappable", 0, 1)]
    assert "long" in next(letter.message for letter in bench.letters.letters if letter.reason == "unmappable")
    assert [name for name, _ in await bench.found("abdrift-facts-drift-*")] == [f"{bench.facts}-0"]


async def test_a_string_is_found_wherever_it_is(bench: Bench, elasticsearch: Elasticsearch) -> None:
    await bench.send([0])
    async with bench.running("group"):
        await until(lambda: bench.read_up("group"), "all is read")
    assert {index.split("-")[-1] for index in await hunting.found(bench.facts, elasticsearch.url)} >= {
        "drift",
        "2026.10",
    }
    assert not await hunting.found(secrets.token_hex(8), elasticsearch.url)


async def test_where_the_server_keeps_no_retention_the_sink_does(bench: Bench) -> None:
    has = await features.asked(bench.client)
    assert [has.has_ilm, has.has_lifecycle] == [False, False], "this server keeps none"
    now_ms = wall_clock_ms()
    old, kept = "abdrift-facts-drift-2020.01", facts_index("drift", to_datetime(now_ms))
    for index in (old, kept):
        await bench.client.index(index=index, document={"@timestamp": 0})
    await bench.client.create(index=bench.stream, id="1", document={"@timestamp": 0}, refresh=True)
    await bench.client.indices.rollover(alias=bench.stream)
    assert await setup.enforce(bench.client, bench.config, has, now_ms) == [old]
    later_ms = now_ms + 15 * 86_400_000
    (dropped,) = await setup.enforce(bench.client, bench.config, has, later_ms)
    assert dropped.startswith(f".ds-{bench.stream}")
    assert (await bench.client.count(index=bench.stream))["count"] == 0
    assert await bench.client.indices.exists(index=kept)


async def test_what_an_unseen_rollover_let_in_twice_is_taken_out_again(bench: Bench) -> None:
    body = orjson.dumps({"@timestamp": 0, "orchestrator": {"cluster": {"name": bench.facts}}})
    rows = [
        Operation(
            Action.CREATE,
            bench.stream,
            f"row-{number}",
            Place("t", 0, 0, wall_clock_ms(), number),
            "t",
            body,
            is_streamed=True,
        )
        for number in range(3)
    ]
    writer = Writer(bench.client, bench.config.bulk)
    await writer.write(rows[:1])
    await writer.write(rows[:2])  # now it knows that there is one backing index
    await bench.client.indices.rollover(alias=bench.stream)
    await writer.write(rows)
    found = await bench.found(bench.stream)
    assert sorted(name for name, _ in found) == ["row-0", "row-1", "row-2"]

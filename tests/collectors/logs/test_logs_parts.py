"""Real senders, a real broker: go-lumber's client over TLS, rsyslog's omkafka, and a reader that is started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.admin import NewTopic
from aiokafka.structs import TopicPartition

from abdrift import frames
from abdrift import kafka as clients
from abdrift.clock import wall_clock_ms
from abdrift.cloudevents import CloudEvent
from abdrift.facts.dead_letter import DeadLetter
from abdrift.signals import logs
from abdrift.topics import DEAD_LETTERS, LOGS
from collectors.dead_letters import DeadLetters
from collectors.delivery import Reconnecting
from collectors.framing import Framer, FramerSettings
from collectors.logs import lumberjack
from collectors.logs.topics import Parts, TopicReader, TopicsConfig
from collectors.receiving import Receiver, ReceiverConfig
from tests.collectors.logs.senders import SYSLOG_CLUSTER, rsyslogd, sent
from tests.collectors.receiving.receiving import wiring
from tests.parts import build, pki, programs
from tests.parts.guard import Guard
from tests.parts.loopback import HOST, Ports
from tests.parts.versions import GO_LUMBER
from tests.parts.waiting import WITHIN_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from abdrift.broker import EmbeddedBroker
    from abdrift.signals.logs import LogRow
    from collectors.lanes import Headers, Send

pytestmark = pytest.mark.parts

PARTITIONS = 4
CLUSTER = "edge-0042"


class Ours:
    """This test's topics in place of Abdrift's, and what is in them."""

    def __init__(self, settings: clients.KafkaSettings) -> None:
        self.settings = settings
        suffix = secrets.token_hex(4)
        self.names = {LOGS.name: f"logs-{suffix}", DEAD_LETTERS.name: f"dead-{suffix}"}
        self.theirs = f"theirs-{suffix}"
        self.gate = asyncio.Event()
        self.gate.set()

    async def create(self) -> None:
        async with clients.admin(self.settings) as admin:
            await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in (*self.names.values(), self.theirs)])

    def aside(self, send: Send) -> Send:
        async def sent(topic: str, partition: int, key: bytes, value: bytes, headers: Headers) -> None:
            await self.gate.wait()
            await send(self.names[topic], partition, key, value, headers)

        return sent

    async def rows(self) -> list[LogRow]:
        records = await self._records(LOGS.name)
        return [row for each in records for row in logs.rows_of(frames.decode(each.value, each.headers).batch)]

    async def letters(self) -> list[DeadLetter]:
        records = await self._records(DEAD_LETTERS.name)
        return [DeadLetter.model_validate(CloudEvent.decode(each.value).data) for each in records]

    async def _records(self, topic: str) -> list[Any]:
        """Return all records up to the end."""
        found: list[Any] = []
        async with clients.consumer(self.settings) as consumer, asyncio.timeout(WITHIN_SECONDS):
            partitions = [TopicPartition(self.names[topic], number) for number in range(PARTITIONS)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            for partition, end in ends.items():
                while await consumer.position(partition) < end:
                    found += (await consumer.getmany(partition, timeout_ms=500)).get(partition, [])
        return found


@pytest.fixture
async def ours(kafka: EmbeddedBroker) -> Ours:
    topics = Ours(clients.KafkaSettings(bootstrap_servers=kafka.bootstrap_servers))
    await topics.create()
    return topics


@contextlib.asynccontextmanager
async def framing(ours: Ours, source: str) -> AsyncIterator[tuple[Framer, DeadLetters, Callable[[], Any]]]:
    """Yield where rows and letters go, and a question that Kafka answers."""
    connect = partial(clients.producer, ours.settings, linger_ms=0, request_timeout_ms=5_000)
    async with Reconnecting(connect) as reached:
        send = ours.aside(reached.send)
        async with Framer(source, wall_clock_ms(), send, FramerSettings(partitions=PARTITIONS)) as framer:
            letters = DeadLetters(send, PARTITIONS, "collectors.logs", wall_clock_ms)
            yield framer, letters, reached.answers


@pytest.fixture
def go_lumber() -> Path:
    return build.ensure(GO_LUMBER, print) / "go-lumber"


@contextlib.asynccontextmanager
async def slow(kafka: EmbeddedBroker, ours: Ours) -> AsyncIterator[None]:
    """While inside, nothing is acknowledged."""
    ours.gate.clear()
    yield
    ours.gate.set()


@contextlib.asynccontextmanager
async def stopped(kafka: EmbeddedBroker, ours: Ours) -> AsyncIterator[None]:
    """While inside, there is no broker."""
    await kafka.astop()
    yield
    await kafka.astart()


@pytest.mark.parametrize("away", [slow, pytest.param(stopped, marks=pytest.mark.soak)])
async def test_go_lumber_is_told_only_of_what_kafka_has(
    kafka: EmbeddedBroker, ours: Ours, go_lumber: Path, tmp_path: Path, away: Callable[..., Any]
) -> None:
    certificates = pki.create(tmp_path / "pki")
    tls = {"certificate": certificates.server_certificate, "key": certificates.server_key}
    given: dict[str, Any] = {
        "listen": f"{HOST}:0",
        "tls": tls,
        "clients": [{"name": "beats", "cluster": CLUSTER, "addresses": [HOST]}],
        "handlers": {"lumberjack": {"listen": f"{HOST}:0", "frames": {"batch_events": 64}, "keepalive_seconds": 0.5}},
    }
    config = ReceiverConfig.model_validate(given)
    before, after = ([f"{name} {number}" for number in range(500)] for name in ("before", "after"))
    async with framing(ours, "lumberjack/test") as (framer, letters, kafka_answers):
        wired = replace(wiring("lumberjack", framer), letters=letters, clock=wall_clock_ms)
        handler = lumberjack.build(config.handlers["lumberjack"], wired)
        async with Receiver(config, [handler], kafka_answers) as receiver:
            port = receiver.stream_addresses["lumberjack"][1]
            ca = f"-ca={certificates.ca}"
            assert await sent(go_lumber, port, before, ca, "-window=100") == len(before)
            assert sorted(row.message for row in await ours.rows()) == sorted(before)
            async with away(kafka, ours):
                sending = asyncio.create_task(
                    sent(go_lumber, port, after, ca, "-window=100", "-inflight=4", "-compression=6", "-timeout=20s")
                )
                await until(lambda: _held(framer), "events wait for Kafka")
            assert await sending == len(after)
    rows = await ours.rows()
    assert sorted(row.message for row in rows) == sorted([*before, *after])
    assert {(row.cluster, row.sender) for row in rows} == {(CLUSTER, "filebeat")}


async def _held(framer: Framer) -> bool:
    return framer._held_rows > 0


@pytest.fixture
def rsyslog(kafka: EmbeddedBroker, ours: Ours, tmp_path: Path) -> Iterator[int]:
    """The port of an rsyslogd that ships what it gets as deploy/logs/rsyslog.conf says."""
    programs.require(print)
    port, guard = Ports().take(), Guard()
    part = rsyslogd(tmp_path, port, guard, kafka.bootstrap_servers, ours.theirs)
    part.start()
    yield port
    part.stop()
    guard.close()


class Refusing:
    """An outlet that takes nothing."""

    async def deliver(self, rows: Any, *, urgent: bool = True) -> None:  # noqa: ARG002  the protocol's
        raise ConnectionError(f"{len(rows)} rows not taken")


async def test_rsyslog_s_events_come_through_and_what_can_not_be_read_is_a_dead_letter(
    ours: Ours, rsyslog: int
) -> None:
    canary = "tweety-4711-canary"
    lines = [f"job {number} password={canary}" for number in range(50)]
    _, writer = await asyncio.open_connection(HOST, rsyslog)
    writer.write("".join(f"<27>Nov 23 13:42:13 node-1 etcd[7]: {line}\n" for line in lines).encode())
    await writer.drain()
    writer.close()
    others = [
        f'{{"message":"cut short","token":"{canary}'.encode(),
        None,
        b'[{"message":"of an array","cluster":"edge-1"},{"message":"of no cluster"}]',
        b'{"message":"a line","cluster":"edge-1"}\n{"message":"another","cluster":"edge-1"}\n',
    ]
    async with clients.producer(ours.settings) as producer:
        # rsyslog writes to this partition as well.
        placed = [
            (await producer.send_and_wait(ours.theirs, value, key=b"node-1", partition=1)).offset for value in others
        ]
    config = TopicsConfig.model_validate(
        {"topics": [{"topic": ours.theirs, "sender": "rsyslog"}], "group_id": ours.theirs}
    )
    async with framing(ours, "logs-from-kafka/test") as (framer, letters, _):
        with pytest.raises(ConnectionError):
            await reading(ours, config, Parts(None, Refusing(), letters, wall_clock_ms, "refusing"))
        run = asyncio.create_task(reading(ours, config, Parts(None, framer, letters, wall_clock_ms, framer.source)))
        expected = sorted([*(line.partition("=")[0] for line in lines), "a line", "another", "of an array"])
        try:
            await until(lambda: _arrived(ours, len(expected)), "all rows")
            await until(lambda: _committed(ours), "all offsets are committed")
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
    rows = await ours.rows()
    assert sorted(row.message.strip().partition("=")[0] for row in rows) == expected
    shipped = [row for row in rows if row.sender == "rsyslog" and row.cluster == SYSLOG_CLUSTER]
    assert len(shipped) == len(lines)
    assert {(row.node, row.severity) for row in shipped} == {("node-1", "error")}
    assert json.loads(shipped[0].fields)["process.name"] == "etcd"
    # What the first reader could not deliver is told again; it is the same letter.
    dead = {(each.partition, each.offset, each.reason) for each in await ours.letters()}
    assert dead == {(1, placed[0], "bad-json"), (1, placed[1], "no-object"), (1, placed[2], "no-cluster")}
    for name in ours.names:
        assert not any(canary.encode() in each.value for each in await ours._records(name))


async def reading(ours: Ours, config: TopicsConfig, parts: Parts) -> None:
    """Run a reader of its own consumer until it fails or is cancelled."""
    async with clients.consumer(ours.settings, group_id=config.group_id, session_timeout_ms=10_000) as consumer:
        await TopicReader(config, replace(parts, consumer=consumer)).run()


async def _arrived(ours: Ours, count: int) -> bool:
    return len(await ours.rows()) >= count


async def _committed(ours: Ours) -> bool:
    partitions = [TopicPartition(ours.theirs, number) for number in range(PARTITIONS)]
    async with clients.consumer(ours.settings, group_id=ours.theirs) as consumer:
        ends = await consumer.end_offsets(partitions)
        return all([(await consumer.committed(each) or 0) == ends[each] for each in partitions])

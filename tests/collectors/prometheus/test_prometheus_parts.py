"""Real Prometheus, of Debian and of today, and a real node-exporter, through to a real Kafka and back."""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import NewTopic

from abdrift import frames
from abdrift import kafka as clients
from abdrift.clock import wall_clock_ms
from abdrift.signals import samples
from abdrift.signals.samples import SampleRow, labels_of
from collectors.delivery import kafka_send
from collectors.framing import Framer, FramerSettings
from collectors.prometheus import receiver as remote_write
from collectors.prometheus import scraper
from collectors.prometheus.scrape_config import ScrapeConfig
from tests.collectors.prometheus.running import V2, prometheus, queried, remote
from tests.collectors.receiving.receiving import config, receiving, wiring
from tests.parts import build, programs, versions
from tests.parts.guard import Guard
from tests.parts.loopback import HOST, Ports, answers
from tests.parts.process import Part, Program
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from abdrift.broker import EmbeddedBroker
    from collectors.lanes import Headers, Send
    from tests.collectors.prometheus.running import Sample

pytestmark = pytest.mark.parts

SCRAPES = 3
SCRAPED = "edge-scraped"


@pytest.fixture
def guard() -> Iterator[Guard]:
    guard = Guard()
    yield guard
    guard.close()


class Topic:
    """A topic of the test's own, written to in place of the signal's, and read."""

    def __init__(self, settings: clients.KafkaSettings, name: str) -> None:
        self._settings = settings
        self.name = name
        self.rows: list[SampleRow] = []

    def send(self, send: Send) -> Send:
        async def sent(_: str, partition: int, key: bytes, value: bytes, headers: Headers) -> None:
            await send(self.name, partition, key, value, headers)

        return sent

    async def read(self) -> None:
        """Keep what comes, until cancelled."""
        async with clients.consumer(self._settings, self.name) as consumer:
            async for record in consumer:
                self.rows += samples.rows_of(frames.decode(record.value, record.headers).batch)

    def samples(self, first_ms: int, last_ms: int) -> set[Sample]:
        """Return the samples between two times, staleness markers left out as queries leave them out."""
        return {
            (row.metric, frozenset(labels_of(row.labels).items()), row.time_ms, row.value)
            for row in self.rows
            if first_ms < row.time_ms <= last_ms and not math.isnan(row.value)
        }

    def has(self, metric: str, *, job: str, cluster: str) -> Callable[[], Awaitable[bool]]:
        """Return a check of whether a metric of a job is there."""

        async def check() -> bool:
            return any(
                row.metric == metric and row.cluster == cluster and labels_of(row.labels)["job"] == job
                for row in self.rows
            )

        return check

    def scraped(self, job: str) -> set[Sample]:
        """Return what was scraped of a job."""
        return {
            (row.metric, frozenset(labels.items()), row.time_ms, row.value)
            for row in self.rows
            if row.cluster == SCRAPED and (labels := labels_of(row.labels))["job"] == job and not math.isnan(row.value)
        }

    def scrapes(self) -> list[int]:
        """Return when scrapes succeeded: one that takes too long on a busy machine brings nothing but its failure."""
        return sorted({row.time_ms for row in self.rows if row.metric == "up" and row.value == 1})


@pytest.fixture
async def topic(kafka: EmbeddedBroker) -> AsyncIterator[Topic]:
    settings = clients.KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    name = f"test-{secrets.token_hex(4)}"
    async with clients.admin(settings) as admin:
        await admin.create_topics([NewTopic(name, 4, 1)])
    topic = Topic(settings, name)
    reading = asyncio.create_task(topic.read())
    yield topic
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading


@pytest.fixture
async def outlet(kafka: EmbeddedBroker, topic: Topic) -> AsyncIterator[Framer]:
    settings = clients.KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    async with (
        clients.producer(settings, linger_ms=0) as producer,
        Framer("test", 1, topic.send(kafka_send(producer)), FramerSettings(partitions=4)) as framer,
    ):
        yield framer


@contextlib.asynccontextmanager
async def node_exporter(folder: Path, guard: Guard) -> AsyncIterator[str]:
    address = f"{HOST}:{Ports().take()}"
    argv = [programs.find("prometheus-node-exporter"), f"--web.listen-address={address}"]
    part = Part(Program("node-exporter", argv, folder / "node-exporter.log", answers(f"http://{address}/")), guard)
    await asyncio.to_thread(part.start)
    try:
        yield f"http://{address}"
    finally:
        await asyncio.to_thread(part.kill)


@contextlib.asynccontextmanager
async def scraping(outlet: Framer, *, federate: str, node: str) -> AsyncIterator[None]:
    """Scrape both twice a second."""
    federated = {"honor_labels": True, "metrics_path": "/federate", "params": {"match[]": ['{job="self"}']}}
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [url.removeprefix("http://")]}], **more}
        for name, url, more in (("federate", federate, federated), ("node", node, {}))
    ]
    given = {"cluster": SCRAPED, "global": {"scrape_interval": "500ms"}, "scrape_configs": jobs}
    work = asyncio.create_task(scraper.run(ScrapeConfig.model_validate(given), "scrape/test", outlet))
    yield
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    await outlet.flush()


async def all_written(topic: Topic, url: str) -> set[Sample]:
    """Return all samples of a few scrapes, once what Prometheus has of them is what Kafka has."""

    async def scraped() -> list[int] | None:
        times = topic.scrapes()
        return times if len(times) > SCRAPES + 1 else None

    times = await until(scraped, "a few scrapes in Kafka")
    first_ms, last_ms = times[0], times[SCRAPES]

    async def equal() -> set[Sample] | None:
        stored = await queried(url, '{__name__!=""}', first_ms, last_ms)
        return stored if stored == topic.samples(first_ms, last_ms) else None

    return await until(equal, "Kafka has what Prometheus has")


@contextlib.asynccontextmanager
async def received(outlet: Framer) -> AsyncIterator[int]:
    """Run a receiver of remote write; yield its port."""
    settings = config(listen=f"{HOST}:{Ports().take()}", handlers={"remote-write": {}})
    async with receiving(settings, remote_write.build({}, wiring("remote-write", outlet))) as (receiver, _):
        yield receiver.address[1]


async def test_prometheus_2_42_writes_its_own_metrics_and_is_federated(
    topic: Topic, outlet: Framer, guard: Guard, tmp_path: Path
) -> None:
    async with (
        received(outlet) as port,
        prometheus(programs.find("prometheus"), tmp_path, guard, **remote(port, tmp_path)) as url,
    ):
        written = await all_written(topic, url)
        assert len(written) > 200 * SCRAPES
        assert {row.cluster for row in topic.rows} == {"edge-0001"}
        topic.rows.clear()
        async with node_exporter(tmp_path, guard) as exporter, scraping(outlet, federate=url, node=exporter):
            await until(topic.has("go_goroutines", job="self", cluster=SCRAPED), "federated samples in Kafka")
            await until(topic.has("node_load1", job="node", cluster=SCRAPED), "node-exporter's samples in Kafka")

            async def whole() -> bool:
                return len(topic.scraped("self")) > 200

            await until(whole, "a whole federation in Kafka")
        federated = topic.scraped("self")
        now_ms = wall_clock_ms()
        assert federated <= await queried(url, '{job="self"}', now_ms - 600_000, now_ms)


async def test_prometheus_of_today_writes_by_2_0(topic: Topic, outlet: Framer, guard: Guard, tmp_path: Path) -> None:
    program = (await asyncio.to_thread(build.ensure, versions.PROMETHEUS, print)) / "prometheus"
    job = {"scrape_native_histograms": True}
    async with (
        received(outlet) as port,
        prometheus(
            program,
            tmp_path,
            guard,
            job=job,
            **remote(port, tmp_path, protobuf_message=V2, send_native_histograms=True),
        ) as url,
    ):
        written = await all_written(topic, url)
        assert len(written) > 200 * SCRAPES
        assert any(row.histogram for row in topic.rows)

"""`python -m tests.sinks.web.bench`: what the page takes with 10,000 clusters, from facts in a real Kafka to Chromium.

Prints one JSON object: the first picture (median of several openings), frames a second and the longest gap between two
while updates come in, how long a fact takes from Kafka's acknowledgement to the map, and memory. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abdrift import provision
from abdrift.broker import EmbeddedBroker
from abdrift.kafka import KafkaSettings, producer
from abdrift.partitions import partition_of
from tests.parts.chromium import Chromium, Page
from tests.parts.guard import Guard
from tests.sinks.web import facts
from tests.sinks.web.test_page import IS_PICTURED
from tests.sinks.web.test_source import Web, running

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiokafka import AIOKafkaProducer

    from tests.sinks.web.facts import Said

PARTITIONS = 8
OPENINGS = 5
PROBES = 15
STATUSES = ("healthy", "degraded", "failing")
FRAMES = """new Promise((done) => {
  const [begun, ends] = [performance.now(), performance.now() + %d];
  let [frames, last, longest] = [0, begun, 0];
  const frame = (now) => {
    frames++;
    longest = Math.max(longest, now - last);
    last = now;
    if (now < ends) requestAnimationFrame(frame);
    else done({ frames_per_second: (frames * 1000) / (now - begun), longest_gap_ms: longest });
  };
  requestAnimationFrame(frame);
})"""
SEEN = """(async () => {
  const { fleet } = await import("/app.js");
  const cell = fleet.byName.get("%s");
  while (cell.status !== %d) await new Promise((done) => setTimeout(done, 2));
  return Date.now();
})()"""
VERSION = """(async () => Number((await import("/app.js")).fleet.known.split("-").at(-1)))()"""


async def measured(clusters: int, rate: int, seconds: float, pictures: Path | None) -> dict[str, Any]:
    """Run everything, and return the figures."""
    guard = Guard()
    with tempfile.TemporaryDirectory(prefix="abdrift-web-bench-") as name:
        folder = Path(name)
        (folder / "chromium").mkdir()
        broker, chromium = EmbeddedBroker(folder / "kafka"), Chromium(folder / "chromium", guard)
        try:
            await broker.astart()
            kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
            await provision.create(kafka, partitions=PARTITIONS, replication=1)
            async with producer(kafka) as client:
                facts.NOW = facts.moment()
                await told(client, facts.fleet(clusters))
                await asyncio.to_thread(chromium.part.start)
                async with running(kafka) as web, chromium.page() as page:
                    if pictures:
                        await page.shape(1360, 850)
                        await pictured(page, web, pictures)
                    await page.shape(1440, 900)
                    await page.prefer()
                    figures = await looked_at(page, web, client, list(facts.names(clusters)), rate, seconds)
                    figures["page_memory_mb"] = memory_mb(chromium.part.pid)
                    figures["server_memory_mb"] = resident_mb(web.process.pid)
        finally:
            await asyncio.to_thread(chromium.part.stop)
            await broker.astop()
            guard.close()
    return {"clusters": clusters, "updates_per_second_sent": rate, **figures}


async def looked_at(
    page: Page, web: Web, client: AIOKafkaProducer, names: list[str], rate: int, seconds: float
) -> dict[str, Any]:
    """Open the page some times, then watch it while updates come in."""
    first = []
    for _ in range(OPENINGS):
        await page.go(web.url)
        await page.until(IS_PICTURED, "the first picture")
        first.append(await page.js("performance.getEntriesByName('abdrift-first-picture')[0].startTime"))
    waits = [await wait_ms(page, client, random.choice(names)) for _ in range(PROBES)]
    flood = asyncio.create_task(flooded(client, names, rate))
    await asyncio.sleep(2)
    before, begun = await page.js(VERSION), time.monotonic()
    frames = await page.js(FRAMES % round(seconds * 1000))
    shown = (await page.js(VERSION) - before) / (time.monotonic() - begun)
    flood.cancel()
    await page.call("HeapProfiler.collectGarbage")
    heap = {each["name"]: each["value"] for each in await metrics(page)}
    return {
        "first_picture_ms": round(statistics.median(first)),
        "first_picture_worst_ms": round(max(first)),
        "kafka_to_map_ms_p50": round(statistics.median(waits)),
        "kafka_to_map_ms_worst": round(max(waits)),
        "updates_per_second_shown": round(shown),
        "frames_per_second": round(frames["frames_per_second"], 1),
        "longest_gap_ms": round(frames["longest_gap_ms"]),
        "js_heap_mb": round(heap["JSHeapUsedSize"] / 1e6, 1),
        "dom_nodes": heap["Nodes"],
    }


async def told(client: AIOKafkaProducer, said: Iterable[Said]) -> None:
    """Write facts to their clusters' partitions."""
    sent = [await sending(client, each) for each in said]
    await asyncio.gather(*sent)


async def sending(client: AIOKafkaProducer, said: Said) -> asyncio.Future[Any]:
    assert said.event
    partition = partition_of(said.cluster or "fleet", PARTITIONS)
    future: asyncio.Future[Any] = await client.send(
        said.topic.name, said.event.encode(), said.key.encode(), partition=partition
    )
    return future


async def flooded(client: AIOKafkaProducer, names: list[str], rate: int) -> None:
    """Change so many clusters' health each second, in portions, until cancelled."""
    portion, begun, sent = max(1, rate // 50), time.monotonic(), 0
    while True:
        for name in random.sample(names, portion):
            await sending(client, facts.health(name, random.choice(STATUSES), at=facts.moment()))
        sent += portion
        await asyncio.sleep(max(0.0, begun + sent / rate - time.monotonic()))


async def wait_ms(page: Page, client: AIOKafkaProducer, name: str) -> float:
    """Return how long a fact took from Kafka's word that it has it to the page's model."""
    for status in ("failing", "degraded"):
        seen = asyncio.create_task(page.js(SEEN % (name, ("healthy", "degraded", "failing").index(status))))
        await (await sending(client, facts.health(name, status, at=facts.moment())))
        acked_ms = time.time() * 1000
        waited = await seen - acked_ms
    return max(0.0, float(waited))


async def metrics(page: Page) -> list[dict[str, Any]]:
    await page.call("Performance.enable")
    found: list[dict[str, Any]] = (await page.call("Performance.getMetrics"))["metrics"]
    return found


def memory_mb(browser: int) -> float:
    """Return what the largest of a browser's pages has for itself alone, as Chromium's task manager counts."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if b"--type=renderer" not in (process / "cmdline").read_bytes() or not _descends(process, browser):
                continue
            rollup = (process / "smaps_rollup").read_text()
        except OSError:
            continue
        private = [line.split() for line in rollup.splitlines() if line.startswith("Private_")]
        found.append(sum(int(words[1]) for words in private) / 1024)
    return round(max(found, default=0.0), 1)


def resident_mb(process: int) -> float:
    """Return a process's resident memory."""
    (line,) = [each for each in Path(f"/proc/{process}/status").read_text().splitlines() if each.startswith("VmRSS")]
    return round(int(line.split()[1]) / 1024, 1)


def _descends(process: Path, ancestor: int) -> bool:
    while process.name.isdigit() and process.name != "1":
        if int(process.name) == ancestor:
            return True
        process = process.parent / (process / "stat").read_text().rpartition(")")[2].split()[1]
    return False


async def pictured(page: Page, web: Web, folder: Path) -> None:
    """Keep the README's pictures: the whole map in dark, one cluster's panel in light."""
    for scheme, fragment in (("dark", ""), ("light", "#cluster=edge-00040")):
        await page.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
        await page.go(f"{web.url}{fragment}")
        await page.until(IS_PICTURED, "the first picture")
        await page.until(f"{len(fragment)} === 0 || document.querySelectorAll('.finding').length", "the panel")
        (folder / f"web-{scheme}.png").write_bytes(await page.picture())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.sinks.web.bench", description=__doc__)
    parser.add_argument("--clusters", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=1_000, help="updates a second")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--pictures", type=Path, help="a folder for the README's pictures")
    given = parser.parse_args()
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())  # retries to topics that are being made
    figures = asyncio.run(measured(given.clusters, given.rate, given.seconds, given.pictures))
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

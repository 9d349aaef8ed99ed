"""`abdrift web` on a real Kafka: what was there, what comes, and a Kafka that goes away and comes back."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from abdrift import provision
from abdrift.kafka import KafkaSettings, producer
from tests.parts.waiting import until
from tests.sinks.web import facts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from abdrift.broker import EmbeddedBroker
    from tests.sinks.web.facts import Said

pytestmark = pytest.mark.parts


@dataclass
class Web:
    """A running command."""

    process: asyncio.subprocess.Process
    url: str
    client: aiohttp.ClientSession

    async def get(self, path: str) -> Any:
        """Return what it answers as JSON; None where that is no 200."""
        async with self.client.get(self.url + path) as answer:
            return await answer.json(content_type=None) if answer.status == 200 else None

    async def is_ready(self) -> bool:
        async with self.client.get(f"{self.url}readyz") as answer:
            return answer.status == 200


@asynccontextmanager
async def running(kafka: KafkaSettings) -> AsyncIterator[Web]:
    """Run the command, and see it end well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "abdrift", "web", "--listen", "127.0.0.1:0"),
        env={**os.environ, "ABDRIFT_KAFKA": kafka.bootstrap_servers},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    said = ""
    while not (found := re.search(r"shown at (http\S+)", said)):
        line = await process.stderr.readline()
        assert line, said
        said += line.decode()
    drained = asyncio.create_task(process.stderr.read())
    async with aiohttp.ClientSession() as client:
        web = Web(process, found[1], client)
        await until(web.is_ready, "the page's server ready")
        yield web
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0, (await drained).decode()


async def told(kafka: KafkaSettings, said: Iterable[Said]) -> None:
    """Write facts where their writers do."""
    async with producer(kafka) as client:
        for each in said:
            value = each.event.encode() if each.event else None
            await client.send_and_wait(each.topic.name, value, each.key.encode(), partition=0)


async def test_what_kafka_holds_and_what_it_is_told_are_shown(kafka: EmbeddedBroker) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    await provision.create(settings, partitions=2, replication=1)
    one, other = (f"web-{secrets.token_hex(4)}" for _ in range(2))
    await told(settings, [facts.inventory(one, site="fra1"), facts.health(one), facts.changed(one, f"f-{one}")])
    async with running(settings) as web:
        batch = await web.get("api/fleet")
        (about,) = [each for each in batch["about"] if each[1] == one]
        (cell,) = [each for each in batch["cells"] if each[0] == about[0]]
        assert (about[2], cell[1:3], batch["reading"][0]) == ({"site": "fra1"}, [0, 1], "live")
        assert (await web.get(f"api/clusters/{one}"))["findings"][0]["managers"] == ["kubectl-edit"]
        known = f"{batch['epoch']}-{batch['version']}"
        async with web.client.get(f"{web.url}api/events", headers={"Last-Event-ID": known}) as stream:
            await told(settings, [facts.inventory(other, site="ber1"), *facts.corrected(one, f"c-{one}", f"f-{one}")])
            names: set[str] = set()
            async for line in stream.content:
                if line.startswith(b"data: "):
                    names |= {each[1] for each in json.loads(line[6:]).get("about", ())}
                if other in names:
                    break

        async def is_told() -> bool:
            panel = await web.get(f"api/clusters/{one}")
            return any(entry["what"] == "corrected" for entry in panel["timeline"])

        await until(is_told, "what was done about it")
        async with web.client.get(f"{web.url}metrics") as answer:
            metrics = await answer.text()
        assert "abdrift_web_kafka_answers 1.0" in metrics
        assert re.search(r"abdrift_web_clusters [1-9]", metrics)


@pytest.mark.soak
async def test_a_kafka_that_goes_away_is_said_and_found_again(kafka: EmbeddedBroker) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    await provision.create(settings, partitions=2, replication=1)
    name = f"web-{secrets.token_hex(4)}"
    async with running(settings) as web:
        await asyncio.to_thread(kafka.stop)

        async def is_lost() -> bool:
            return bool((await web.get("api/fleet"))["reading"][0] == "lost")

        await until(is_lost, "the loss said", within_seconds=60)
        assert not await web.is_ready()
        await asyncio.to_thread(kafka.start)
        await until(web.is_ready, "Kafka found again", within_seconds=60)
        await told(settings, [facts.inventory(name)])

        async def is_shown() -> bool:
            return any(each[1] == name for each in (await web.get("api/fleet"))["about"])

        await until(is_shown, "what came afterwards")


async def test_without_kafka_it_says_so_and_ends() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "abdrift", "web", "--listen", "127.0.0.1:0", "--kafka", "127.0.0.1:1"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert "No Kafka broker at 127.0.0.1:1" in " ".join(said.decode().split())

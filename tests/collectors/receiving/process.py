"""`abdrift receive` as a process beside a test, and what it brings to Kafka."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from abdrift import frames, provision
from abdrift import kafka as clients
from abdrift.signals import alerts
from abdrift.topics import ALERTS
from tests.parts.loopback import HOST, answers
from tests.parts.process import Part, Program
from tests.parts.waiting import WITHIN_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from abdrift.signals.alerts import AlertRow
    from tests.parts.guard import Guard
    from tests.parts.loopback import Ports


@dataclass(frozen=True)
class Running:
    """The process, where it listens, and where its metrics are."""

    part: Part
    url: str
    metrics: str

    async def refused(self, handler: str, reason: str) -> float:
        """Return how many requests of a handler it says it refused for a reason."""
        return await counted(self.metrics, "abdrift_receiver_refused_total", handler=handler, reason=reason)


async def counted(url: str, metric: str, **labels: str) -> float:
    """Return the sum of a program's samples of a metric that have these labels."""
    async with aiohttp.ClientSession() as client, client.get(f"{url}/metrics") as answer:
        text = await answer.text()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(s.value for s in samples if s.name == metric and labels.items() <= s.labels.items())


def receiver(
    folder: Path,
    ports: Ports,
    guard: Guard,
    kafka: str,
    *,
    clients: Sequence[Mapping[str, Any]],
    handlers: Mapping[str, Any],
    limits: Mapping[str, Any] | None = None,
) -> Running:
    """Return the process, not started. Ready means that Kafka answered it."""
    listen, metrics = (f"{HOST}:{ports.take()}" for _ in range(2))
    config = folder / "receive.yaml"
    given = {"listen": listen, "clients": list(clients), "handlers": dict(handlers), "limits": dict(limits or {})}
    config.write_text(json.dumps(given))
    argv: list[str | Path] = [
        *(sys.executable, "-m", "abdrift", "receive", "--config", config),
        *("--kafka", kafka, "--data", folder / "data", "--metrics", metrics),
    ]
    program = Program("receiver", argv, folder / "receiver.log", answers(f"http://{listen}/readyz"))
    return Running(Part(program, guard), f"http://{listen}", f"http://{metrics}")


class AlertLog:
    """The alerts of one cluster, as they arrive."""

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self.rows: list[AlertRow] = []
        self._more = asyncio.Condition()

    async def follow(self, settings: clients.KafkaSettings) -> None:
        """Read until cancelled."""
        async with clients.consumer(settings, ALERTS.name) as consumer:
            async for record in consumer:
                found = alerts.rows_of(frames.decode(record.value, record.headers).batch)
                async with self._more:
                    self.rows += [row for row in found if row.cluster == self.cluster]
                    self._more.notify_all()

    async def until(self, count: int) -> list[AlertRow]:
        """Return the rows once there are so many."""
        async with self._more:
            await asyncio.wait_for(self._more.wait_for(lambda: len(self.rows) >= count), WITHIN_SECONDS)
        return self.rows


@asynccontextmanager
async def alerts_of(settings: clients.KafkaSettings, cluster: str) -> AsyncIterator[AlertLog]:
    """Follow the alerts of a cluster meanwhile. The topics are made if they are not there."""
    await provision.create(settings, partitions=4, replication=1)
    log = AlertLog(cluster)
    task = asyncio.create_task(log.follow(settings))
    try:
        yield log
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

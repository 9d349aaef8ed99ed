"""A real Prometheus that scrapes itself and writes to a receiver, and what it answers to a query."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.collectors.receiving.receiving import TOKEN
from tests.parts.loopback import HOST, Ports, answers
from tests.parts.process import Part, Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.parts.guard import Guard

V2 = "io.prometheus.write.v2.Request"
Sample = tuple[str, frozenset[tuple[str, str]], int, float]
"""Metric, labels, milliseconds, and a float's value or a native histogram's count."""


@contextlib.asynccontextmanager
async def prometheus(program: Path, folder: Path, guard: Guard, **given: Any) -> AsyncIterator[str]:
    """Run a Prometheus that scrapes itself twice a second; yield its address."""
    address = f"{HOST}:{Ports().take()}"
    itself = {"job_name": "self", "static_configs": [{"targets": [address]}]}
    settings = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [itself | given.pop("job", {})],
    }
    file = folder / "prometheus.yaml"
    file.write_text(json.dumps(settings | given))
    argv = [
        program,
        f"--config.file={file}",
        f"--web.listen-address={address}",
        f"--storage.tsdb.path={folder / 'data'}",
    ]
    part = Part(Program("prometheus", argv, folder / "prometheus.log", answers(f"http://{address}/-/ready")), guard)
    await asyncio.to_thread(part.start)
    try:
        yield f"http://{address}"
    finally:
        await asyncio.to_thread(part.kill)


def remote(port: int, folder: Path, *, bearer: str = TOKEN, **more: Any) -> dict[str, Any]:
    """Return a configuration to write to a receiver."""
    token = folder / "token"
    token.write_text(bearer)
    queue = {"max_samples_per_send": 500, "batch_send_deadline": "200ms"}
    to = {"url": f"http://{HOST}:{port}/api/v1/write", "authorization": {"credentials_file": str(token)}}
    return {"remote_write": [{**to, "queue_config": queue, **more}]}


async def queried(url: str, selector: str, first_ms: int, last_ms: int) -> set[Sample]:
    """Return the samples that a Prometheus answers a query with, as they were stored."""
    # A range selector's left end is open or closed, by version: what is exactly there is left out.
    seconds = (last_ms - first_ms) // 1_000 + 1
    query = {"query": f"{selector}[{seconds}s]", "time": str(last_ms / 1_000)}
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/v1/query", params=query) as answer:
        found = (await answer.json())["data"]["result"]
    kept: set[Sample] = set()
    for series in found:
        labels = dict(series["metric"])
        metric = labels.pop("__name__")
        floats = [(at, float(value)) for at, value in series.get("values", ())]
        histograms = [(at, float(value["count"])) for at, value in series.get("histograms", ())]
        for at, value in floats + histograms:
            if first_ms < (time_ms := round(at * 1_000)) <= last_ms and not math.isnan(value):
                kept.add((metric, frozenset(labels.items()), time_ms, value))
    return kept

"""Remote write: what is sent can be read, what ended is told, and nothing is sent for ever."""

from __future__ import annotations

import math
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import cramjam
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge

from collectors.prometheus import protobuf
from sinks.prometheus import telemetry, write
from sinks.prometheus.remote_write import RemoteWriter, Target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

AT_MS = 1_795_000_000_123


def messages(raw: bytes, number: int) -> list[bytes]:
    """Return the fields of a number."""
    return [raw[start:stop] for n, _, start, stop in protobuf.fields(raw, 0, len(raw)) if n == number]


def samples(body: bytes) -> dict[write.Series, tuple[float, int]]:
    """Return the value and the moment of each series, read by what receives remote write here."""
    found = {}
    for series in messages(bytes(cramjam.snappy.decompress_raw(body)), 1):
        labels = tuple(
            (messages(label, 1)[0].decode(), messages(label, 2)[0].decode()) for label in messages(series, 1)
        )
        (sample,) = messages(series, 2)
        found[labels] = struct.unpack_from("<d", sample, 1)[0], protobuf.varint(sample, 10, len(sample))[0]
    return found


@asynccontextmanager
async def receiver(*answers: int) -> AsyncIterator[tuple[str, list[web.Request], list[bytes]]]:
    """Run a receiver that gives these answers, the last of them for ever; yield its URL and what it got."""
    requests: list[web.Request] = []
    bodies: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        requests.append(request)
        bodies.append(await request.read())
        return web.Response(status=answers[min(len(bodies), len(answers)) - 1], text="so it is")

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/write", requests, bodies
    finally:
        await runner.cleanup()


@pytest.fixture
def gauge() -> tuple[CollectorRegistry, Gauge]:
    registry = CollectorRegistry()
    return registry, Gauge("abdrift_tried", "A gauge.", ["site"], registry=registry)


def written(result: str) -> float:
    return telemetry.WRITTEN.labels(result)._value.get()


def test_a_message_holds_every_series_with_its_labels_in_order(gauge: tuple[CollectorRegistry, Gauge]) -> None:
    registry, tried = gauge
    tried.labels("Zürich").set(2.5)
    tried.labels("").set(-1)
    values = write.series(registry.collect(), {"job": "abdrift", "site": "none"})
    (request,) = write.requests(values, AT_MS, 10)
    assert request.samples == 2
    assert samples(request.body) == {
        (("__name__", "abdrift_tried"), ("job", "abdrift"), ("site", "Zürich")): (2.5, AT_MS),
        (("__name__", "abdrift_tried"), ("job", "abdrift"), ("site", "none")): (-1.0, AT_MS),
    }


def test_a_message_has_no_more_samples_than_it_may() -> None:
    values = {(("__name__", f"m{number}"),): float(number) for number in range(5)}
    some = list(write.requests(values, AT_MS, 2))
    assert [request.samples for request in some] == [2, 2, 1]
    assert {series for request in some for series in samples(request.body)} == set(values)


async def test_what_is_no_more_is_told_to_have_ended(gauge: tuple[CollectorRegistry, Gauge], tmp_path: Path) -> None:
    registry, tried = gauge
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    async with receiver(204) as (url, requests, bodies), aiohttp.ClientSession() as session:
        writer = RemoteWriter(Target(url, token_file=token), [registry], session, lambda: AT_MS)
        tried.labels("berlin").set(1)
        await writer.send()
        tried.clear()
        for _ in range(2):
            await writer.send()
    assert {requests[0].headers[name] for name in write.HEADERS} == set(write.HEADERS.values())
    assert requests[0].headers["Authorization"] == "Bearer s3cret"
    (ended,) = samples(bodies[1]).values()
    assert math.isnan(ended[0])
    assert struct.pack("<d", ended[0]) == struct.pack("<d", write.STALE), "that NaN, and no other"
    assert len(bodies) == 2, "told once"


@pytest.mark.parametrize(
    ("answers", "interval_seconds", "asked", "result"),
    [
        pytest.param((204,), 60, 1, "sent", id="taken"),
        pytest.param((503, 429, 200), 60, 3, "sent", id="tried again while it fails"),
        pytest.param((400,), 60, 1, "refused", id="not tried again where it is refused"),
        pytest.param((503,), 0.5, None, "dropped", id="dropped when it is too late"),
    ],
)
async def test_what_becomes_of_samples_is_counted(
    answers: tuple[int, ...],
    interval_seconds: float,
    asked: int | None,
    result: str,
    gauge: tuple[CollectorRegistry, Gauge],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sinks.prometheus.remote_write._BACKOFF_SECONDS", (0.01,))
    registry, tried = gauge
    tried.labels("berlin").set(1)
    before = {name: written(name) for name in ("sent", "refused", "dropped")}
    async with receiver(*answers) as (url, _, bodies), aiohttp.ClientSession() as session:
        await RemoteWriter(Target(url, interval_seconds), [registry], session, lambda: AT_MS).send()
    assert asked in (None, len(bodies))
    assert {name: written(name) - before[name] for name in before} == {**dict.fromkeys(before, 0), result: 1}

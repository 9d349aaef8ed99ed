"""Connections of the Lumberjack protocol to a real receiver on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY

from abdrift.configuration import ConfigurationError
from abdrift.signals.logs import LogRow
from collectors.framing import NotDeliveredError
from collectors.logs import lumberjack
from collectors.receiving import Receiver
from tests.collectors.logs.lumberjack import acknowledged, compressed, data_frame, json_frame, window, windowed
from tests.collectors.receiving.receiving import config, kafka_answers, wiring
from tests.collectors.recording import Recording, RecordingLetters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from collectors.framing import Row

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Gated(Recording):
    """An outlet that delivers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def deliver(self, rows: Sequence[Row], *, urgent: bool = True) -> None:
        self.entered.set()
        await self.gate.wait()
        if self.error:
            raise self.error
        await super().deliver(rows, urgent=urgent)

    @property
    def messages(self) -> list[str]:
        return [row.message for row in self.rows if isinstance(row, LogRow)]


class Site:
    """A receiver with one handler, and what came of it."""

    def __init__(self) -> None:
        self.outlet = Gated()
        self.letters = RecordingLetters()
        self.port = 0
        self.running = contextlib.AsyncExitStack()

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Stream]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def listening(**settings: Any) -> AsyncIterator[Site]:
    site = Site()
    limits = settings.pop("limits", {})
    client = {
        "name": "beats",
        "cluster": None,
        "clusters": ["edge-*"],
        "addresses": ["127.0.0.1"],
        **settings.pop("client", {}),
    }
    given = config(client={**client, "bearer_sha256": None}, handlers={"lumberjack": {}}, limits=limits)
    wired = replace(wiring("lumberjack", site.outlet, site.letters), limits=given.limits)
    handler = lumberjack.build({"listen": "127.0.0.1:0", **settings}, wired)
    receiver = Receiver(given, [handler], kafka_answers)
    async with asyncio.timeout(30), site.running:
        await site.running.enter_async_context(receiver)
        site.port = receiver.stream_addresses["lumberjack"][1]
        yield site


def event(number: int) -> dict[str, Any]:
    return {"cluster": "edge-1", "message": str(number)}


def refused(reason: str) -> float:
    labels = {"handler": "lumberjack", "reason": reason}
    return REGISTRY.get_sample_value("abdrift_receiver_refused_total", labels) or 0.0


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed"])
async def test_a_window_is_acknowledged_when_it_is_delivered(packed: bool) -> None:
    async with listening() as site, site.connected() as (reader, writer):
        for _ in range(2):
            writer.write(windowed([event(1), event(2)], packed=packed))
            assert await acknowledged(reader) == (b"2", 2)
        assert site.outlet.messages == ["1", "2"] * 2
        assert {row.sender for row in site.outlet.rows if isinstance(row, LogRow)} == {"beats"}


async def test_nothing_is_acknowledged_before_it_is_delivered_but_that_it_is_under_way() -> None:
    async with listening(keepalive_seconds=0.01) as site, site.connected() as (reader, writer):
        site.outlet.gate.clear()
        writer.write(windowed([event(1)]))
        assert [await acknowledged(reader) for _ in range(3)] == [(b"2", 0)] * 3
        assert not site.outlet.rows
        site.outlet.gate.set()
        while (answer := await acknowledged(reader)) == (b"2", 0):
            pass
        assert answer == (b"2", 1)


async def test_a_large_window_is_acknowledged_in_parts() -> None:
    async with listening(frames={"batch_events": 4}) as site, site.connected() as (reader, writer):
        writer.write(windowed([event(number) for number in range(10)]))
        assert [await acknowledged(reader) for _ in range(3)] == [(b"2", 4), (b"2", 8), (b"2", 10)]
        assert site.outlet.messages == [str(number) for number in range(10)]


async def test_large_events_of_more_connections_than_may_hold_one_all_come() -> None:
    async with listening() as site, contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(site.connected()) for _ in range(12)]
        data = windowed([{"cluster": "edge-1", "message": "x" * 2_000_000}, event(1)])

        async def send(stream: Stream) -> tuple[bytes, int]:
            reader, writer = stream
            writer.write(data)
            while (answer := await acknowledged(reader))[1] < 2:
                pass
            return answer

        assert await asyncio.gather(*map(send, streams)) == [(b"2", 2)] * 12
        assert site.outlet.messages.count("1") == 12


async def test_logstash_s_own_output_is_acknowledged_once() -> None:
    settings = {"frames": {"batch_events": 2}, "keepalive_seconds": 0.01}
    async with listening(**settings) as site, site.connected() as (reader, writer):
        lines = ['{"cluster":"edge-1","message":"a"}', '{"cluster":"edge-1","message":"b"}', "{"]
        frames = b"".join(data_frame(number, {"line": line}) for number, line in enumerate(lines, start=8))
        site.outlet.gate.clear()
        writer.write(window(3, b"1") + compressed(frames, b"1"))
        await asyncio.sleep(0.05)  # in which keepalives would come
        site.outlet.gate.set()
        assert await acknowledged(reader) == (b"1", 10)
        assert site.outlet.messages == ["a", "b"]
        assert site.letters.reasons == ["bad-json"]


async def test_what_cannot_be_read_is_a_dead_letter_and_acknowledged() -> None:
    async with listening() as site, site.connected() as (reader, writer):
        bad: list[Any] = [b"{", b"[]", {"message": "no cluster"}, {"cluster": "mgmt", "message": "password=hunter2"}]
        writer.write(windowed([event(1), *bad, event(2)]))
        assert await acknowledged(reader) == (b"2", 6)
        assert site.outlet.messages == ["1", "2"]
        assert sorted(site.letters.reasons) == ["bad-json", "no-cluster", "no-object", "not-its-cluster"]
        assert {letter.topic for letter in site.letters.letters} == {"lumberjack/test"}
        assert b"hunter2" not in b"".join(site.letters.values)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", "bad-version", id="http"),
        pytest.param(window(1) + b"2J" + b"\xff" * 8, "too-large", id="too-large"),
        pytest.param(window(1) + compressed(b"\0" * 10_000), "bad-version", id="bomb"),
    ],
)
async def test_a_connection_that_is_refused_harms_no_neighbour(data: bytes, reason: str) -> None:
    async with listening() as site, site.connected() as (reader, writer), site.connected() as (other, other_writer):
        other_writer.write(windowed([event(1), event(2)])[:-3])
        before = refused(reason)
        writer.write(data)
        assert await reader.read() == b""
        assert refused(reason) == before + 1
        other_writer.write(windowed([event(1), event(2)])[-3:])
        assert await acknowledged(other) == (b"2", 2)


async def test_what_kafka_refuses_is_not_acknowledged() -> None:
    async with listening() as site, site.connected() as (reader, writer):
        site.outlet.error = NotDeliveredError("x", refused={"refused": 1})  # type: ignore[arg-type]
        writer.write(windowed([event(1)]))
        assert await reader.read() == b""


async def test_a_client_has_but_so_many_connections() -> None:
    async with listening(client_connections=1) as site:
        async with site.connected() as (reader, writer), site.connected() as (second, _):
            assert await second.read() == b""
            writer.write(windowed([event(1)]))
            assert await acknowledged(reader) == (b"2", 1)
            writer.close()
            await writer.wait_closed()
        # Its place is free again once the receiver has seen it go.
        while True:
            async with site.connected() as (reader, writer):
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                    writer.write(windowed([event(2)]))
                    assert await acknowledged(reader) == (b"2", 1)
                    break


@pytest.mark.parametrize("begun", [b"", window(2) + json_frame(1, {})], ids=["between-windows", "within-a-window"])
async def test_an_idle_connection_is_closed(begun: bytes) -> None:
    limits = {"idle_seconds": 0.05}
    async with listening(limits=limits, read_seconds=0.05) as site, site.connected() as (reader, writer):
        writer.write(begun)
        assert await reader.read() == b""


async def test_a_drain_acknowledges_what_is_under_way_and_closes_what_is_idle() -> None:
    async with listening() as site, site.connected() as (reader, writer), site.connected() as (idle, _):
        site.outlet.gate.clear()
        writer.write(windowed([event(1)]))
        await site.outlet.entered.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(site.running.aclose())
            assert await idle.read() == b""
            site.outlet.gate.set()
            assert await acknowledged(reader) == (b"2", 1)
            assert await reader.read() == b""


@pytest.mark.parametrize(
    "settings",
    [{"listen": "5044"}, {"frames": {"event_bytes": 0}}, {"nosuch": 1}, {"secrets": {"key_file": "/nosuch"}}],
)
def test_a_configuration_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"handlers\.lumberjack"):
        lumberjack.build(settings, wiring("lumberjack", Recording()))

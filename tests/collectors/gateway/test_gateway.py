"""An agent's end against the gateway's, by HTTP on loopback."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from abdrift import topics
from abdrift.frames import encode
from abdrift.partitions import partition_of
from abdrift.signals import objects
from abdrift.signals.objects import ObjectRow
from collectors.gateway.protocol import FRAME_TYPE
from collectors.gateway.relay import build
from collectors.gateway.sending import Gateway, GatewayError
from collectors.lanes import UnsendableError
from collectors.spool.segments import SpooledFrame
from tests.collectors.receiving.receiving import TOKEN, bearer, config, receiving, wiring
from tests.collectors.recording import Recording, RecordingTopic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from collectors.lanes import Headers

CLUSTER, PARTITIONS = "edge-0001", 16
MINE = partition_of(CLUSTER, PARTITIONS)


def frame(*clusters: str) -> tuple[bytes, Headers]:
    rows = [ObjectRow(cluster=each, op="modified", name="o", observed_ms=1) for each in clusters or (CLUSTER,)]
    encoded = encode(objects.OBJECTS, objects.columns_of(rows), (f"kubernetes/{CLUSTER}", 7, 3))
    return encoded.value, encoded.headers


@contextlib.asynccontextmanager
async def relaying(kafka: RecordingTopic, **client: Any) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    handler = build({}, wiring("gateway", Recording(), send=kafka, partitions=PARTITIONS))
    settings = config(client={"cluster": CLUSTER, **client}, handlers={"gateway": {}})
    async with receiving(settings, handler) as (receiver, session):
        yield f"http://127.0.0.1:{receiver.address[1]}", session


async def test_a_frame_comes_through_as_it_is() -> None:
    kafka = RecordingTopic()
    value, headers = frame()
    async with relaying(kafka) as (url, _), Gateway(url, token=TOKEN) as gateway:
        assert await gateway.partitions() == PARTITIONS
        await gateway.send(topics.OBJECTS.name, MINE, b"lane", value, headers)
    [(topic, partition, sent)] = kafka.frames
    assert (topic, partition) == (topics.OBJECTS.name, MINE)
    assert sent.parts[0].source == f"kubernetes/{CLUSTER}"
    assert [row.name for row in objects.rows_of(sent.batch)] == ["o"]


@pytest.mark.parametrize(
    ("changes", "clusters", "error", "said"),
    [
        pytest.param({"topic": topics.FLEET_COMMANDS.name}, [CLUSTER], UnsendableError, "no topic", id="fleet-topic"),
        pytest.param({"topic": topics.RATES.name}, [CLUSTER], UnsendableError, "no topic", id="internal-topic"),
        pytest.param({"partition": MINE + 1}, [CLUSTER], UnsendableError, "partition", id="wrong-partition"),
        pytest.param({"value": b"damaged"}, [CLUSTER], UnsendableError, "crc32", id="damaged"),
        pytest.param({}, ["edge-0002"], GatewayError, "edge-0002", id="another's-cluster"),
        pytest.param({}, [CLUSTER, "edge-0002"], GatewayError, "edge-0002", id="another's-among-its-own"),
        pytest.param({}, [""], GatewayError, "does not speak for", id="no-cluster"),
    ],
)
async def test_what_is_not_this_agents_to_send_is_refused(
    changes: dict[str, Any], clusters: list[str], error: type[Exception], said: str
) -> None:
    kafka = RecordingTopic()
    value, headers = frame(*clusters)
    given: dict[str, Any] = {"topic": topics.OBJECTS.name, "partition": MINE, "key": b"lane", "value": value, **changes}
    async with relaying(kafka) as (url, _), Gateway(url, token=TOKEN) as gateway:
        with pytest.raises(error, match=said):
            await gateway.send(**given, headers=headers)
    assert not kafka.frames


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        pytest.param(RuntimeError("Kafka is away"), GatewayError, id="away"),
        pytest.param(UnsendableError("above the limit"), UnsendableError, id="too-large"),
    ],
)
async def test_what_kafka_does_not_take_is_told(failure: Exception, error: type[Exception]) -> None:
    value, headers = frame()
    kafka = RecordingTopic([failure])
    async with relaying(kafka) as (url, _), Gateway(url, token=TOKEN) as gateway:
        with pytest.raises(error):
            await gateway.send(topics.OBJECTS.name, MINE, b"lane", value, headers)
        await gateway.send(topics.OBJECTS.name, MINE, b"lane", value, headers)
    assert len(kafka.frames) == 1


@pytest.mark.parametrize("body", [b"", b"\x00", b"\xff" * 50, msgspec.msgpack.encode([1, 2, 3])])
async def test_a_body_that_is_no_frame_is_the_senders_fault(body: bytes) -> None:
    async with relaying(RecordingTopic()) as (_, session):
        async with session.post("/frames", data=body, headers={"Content-Type": FRAME_TYPE, **bearer()}) as answer:
            assert answer.status == 400
        async with session.post("/frames", data=body, headers=bearer()) as answer:
            assert answer.status == 415


async def test_an_agent_says_why_it_can_not_send() -> None:
    value, headers = frame()
    async with relaying(RecordingTopic()) as (url, _):
        async with Gateway(url, token="wrong") as gateway:
            with pytest.raises(GatewayError, match="401"):
                await gateway.partitions()
        async with Gateway(f"{url}/elsewhere", token=TOKEN) as gateway:
            with pytest.raises(GatewayError, match="404"):
                await gateway.partitions()
    async with Gateway(url, token=TOKEN) as gateway:
        with pytest.raises(GatewayError, match="can't be reached"):
            await gateway.send(topics.OBJECTS.name, MINE, b"lane", value, headers)


def test_what_lies_on_disk_is_what_is_posted() -> None:
    value, headers = frame()
    kept = SpooledFrame(topics.OBJECTS.name, MINE, b"lane", value, tuple(headers))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=SpooledFrame) == kept

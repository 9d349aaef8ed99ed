"""Remote write against a real receiver on loopback: what is negotiated, answered and delivered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from abdrift.clock import wall_clock_ms
from abdrift.configuration import ConfigurationError
from collectors.framing import Framer, FramerSettings, UnsendableError
from collectors.prometheus import receiver as remote_write
from tests.collectors.prometheus.writing import Series, compressed, histogram, request_v1, request_v2, sample
from tests.collectors.receiving.receiving import bearer, config, receiving, wiring
from tests.collectors.recording import RecordingTopic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import aiohttp

    from abdrift.signals.samples import SampleRow

NOW_MS = wall_clock_ms()
V1 = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
V2 = {**V1, "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
V2_MESSAGE = "io.prometheus.write.v2.Request"
UP = {"__name__": "up", "job": "node"}
GOOD = Series(UP, [(1.0, NOW_MS)])


class World:
    """A receiver whose frames are kept."""

    def __init__(self, http: aiohttp.ClientSession, topic: RecordingTopic) -> None:
        self.http = http
        self.topic = topic

    async def write(self, body: bytes, headers: dict[str, str]) -> tuple[int, str, dict[str, str]]:
        async with self.http.post("/api/v1/write", data=body, headers={**bearer(), **headers}) as answer:
            written = {name.split("-")[4]: value for name, value in answer.headers.items() if "Written" in name}
            return answer.status, await answer.text(), written

    @property
    def rows(self) -> list[SampleRow]:
        return self.topic.rows  # type: ignore[return-value]


@pytest.fixture
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Any]]:
    """Return a function that starts a receiver; `client` and `limits` as `config` takes them, the rest settings."""
    ends: list[Callable[[], Any]] = []

    async def started(
        client: dict[str, Any] | None = None, failures: list[Exception] | None = None, **given: Any
    ) -> World:
        limits = given.pop("limits", {})
        topic = RecordingTopic(failures)
        framer = Framer("prometheus/test", 1, topic, FramerSettings(linger_ms=0, retry_initial_seconds=0.01))
        handler = remote_write.build(given, wiring("remote-write", framer))
        settings = config(client=client or {}, limits=limits, handlers={"remote-write": given})
        context = receiving(settings, handler)
        _, http = await context.__aenter__()
        ends.extend([lambda: context.__aexit__(None, None, None), framer.stop])
        return World(http, topic)

    yield started
    for end in ends:
        await end()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param(V1, 204, id="1.0"),
        pytest.param({**V1, "X-Prometheus-Remote-Write-Version": "0.1.0"}, 204, id="1.0-by-version"),
        pytest.param({**V1, "Content-Type": V1["Content-Type"] + ";proto=prometheus.WriteRequest"}, 204, id="named"),
        pytest.param({"Content-Type": V1["Content-Type"]}, 204, id="without-an-encoding"),
        pytest.param({**V1, "Content-Type": "application/json"}, 415, id="json"),
        pytest.param({**V1, "Content-Type": V1["Content-Type"] + ";proto=other.Request"}, 415, id="another-message"),
        pytest.param({**V1, "X-Prometheus-Remote-Write-Version": "2.0.0"}, 415, id="2.0-that-names-no-message"),
        pytest.param({**V1, "Content-Encoding": "zstd"}, 415, id="another-encoding"),
        pytest.param(V2, 400, id="not-the-message-named"),
    ],
)
async def test_negotiation(make: Callable[..., Any], headers: dict[str, str], status: int) -> None:
    world = await make()
    assert (await world.write(compressed(request_v1([GOOD])), headers))[0] == status
    assert len(world.rows) == (1 if status == 204 else 0)


async def test_samples_arrive_as_rows_of_the_clients_cluster(make: Callable[..., Any]) -> None:
    world = await make()
    kept = histogram(3, 1.5, NOW_MS)
    series = [GOOD, Series({**UP, "cluster": "liar"}, [(0.0, NOW_MS - 5)], histograms=[kept])]
    for headers, encode in ((V1, request_v1), (V2, request_v2)):
        assert (await world.write(compressed(encode(series)), headers))[0] == 204
    found = [(row.cluster, row.metric, row.labels, row.value, row.time_ms, row.histogram) for row in world.rows]
    expected = [
        ("edge-0001", "up", '{"job":"node"}', 1.0, NOW_MS, b""),
        ("edge-0001", "up", '{"cluster":"liar","job":"node"}', 0.0, NOW_MS - 5, b""),
        ("edge-0001", "up", '{"cluster":"liar","job":"node"}', 3.0, NOW_MS, kept),
    ]
    assert found == expected * 2


async def test_protocol_2_0_is_told_what_was_written(make: Callable[..., Any]) -> None:
    world = await make()
    series = [
        Series(UP, [(1.0, NOW_MS), (2.0, NOW_MS + 10**9)], exemplars=[sample(1, NOW_MS)]),
        Series({"job": "nameless"}, [(1.0, NOW_MS)]),
        Series({**UP, "native": "yes"}, histograms=[histogram(3, 1.5, NOW_MS)]),
    ]
    status, text, written = await world.write(compressed(request_v2(series)), V2)
    assert (status, written) == (400, {"Samples": "1", "Histograms": "1", "Exemplars": "0"})
    assert "no metric's name" in text
    assert "out of bounds: 1 samples" in text
    assert len(world.rows) == 2


async def test_what_rules_drop_counts_as_written(make: Callable[..., Any]) -> None:
    world = await make(metric_relabel_configs=[{"action": "drop", "source_labels": ["job"], "regex": "node"}])
    assert await world.write(compressed(request_v2([GOOD])), V2) == (
        204,
        "",
        {"Samples": "1", "Histograms": "0", "Exemplars": "0"},
    )
    assert not world.rows


@pytest.mark.parametrize(
    ("cluster", "status"),
    [
        pytest.param("edge-7", 204, id="its-own"),
        pytest.param("core-1", 400, id="another"),
        pytest.param(None, 400, id="none"),
    ],
)
async def test_a_client_of_several_clusters_names_each(
    make: Callable[..., Any], cluster: str | None, status: int
) -> None:
    world = await make(client={"cluster": None, "clusters": ["edge-*"]})
    labels = UP | ({"cluster": cluster} if cluster else {})
    good = Series({**UP, "cluster": "edge-1"}, [(1.0, NOW_MS)])
    found, text, _ = await world.write(compressed(request_v1([Series(labels, [(1.0, NOW_MS)]), good])), V1)
    assert found == status
    assert ("external_labels" in text) == (status == 400)
    assert {row.cluster for row in world.rows} == {"edge-1", "edge-7"} if status == 204 else {"edge-1"}


async def test_too_many_series_are_refused_and_the_offender_named(
    make: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    world = await make(series={"metric_series": 5})

    def pods(first: int, last: int) -> bytes:
        each = ({"__name__": "http_requests", "job": "api", "pod": f"p{n}"} for n in range(first, last))
        return compressed(request_v1([Series(labels, [(1.0, NOW_MS)]) for labels in each]))

    status, text, _ = await world.write(pods(0, 8), V1)
    assert status == 400
    assert "metric 'http_requests' has 5 series, and its label 'pod' the most values (5" in text
    assert len(caplog.records) == 1
    assert "label 'pod'" in caplog.text
    assert len(world.rows) == 5
    assert (await world.write(pods(0, 5), V1))[0] == 204  # those that are in stay in


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="empty"),
        pytest.param(b"\x05hello", 400, id="no-snappy"),
        pytest.param(compressed(b"\x0a\x09no"), 400, id="no-message"),
        pytest.param(b"\xff\xff\xff\xff\x0f" + b"\0" * 9, 413, id="bomb"),
        pytest.param(compressed(b""), 204, id="nothing-in-it"),
    ],
)
@pytest.mark.parametrize("headers", [pytest.param(V1, id="1.0"), pytest.param(V2, id="2.0")])
async def test_what_is_never_to_be_sent_again(
    make: Callable[..., Any], headers: dict[str, str], body: bytes, status: int
) -> None:
    world = await make()
    assert (await world.write(body, headers))[0] == status


async def test_it_answers_only_once_kafka_has_it(make: Callable[..., Any]) -> None:
    world = await make(failures=[ConnectionError("away")])
    world.topic.gate.clear()
    written = asyncio.create_task(world.write(compressed(request_v1([GOOD])), V1))
    await asyncio.sleep(0.05)
    assert not written.done()
    world.topic.gate.set()
    assert (await written)[0] == 204
    assert len(world.rows) == 1


async def test_kafka_that_does_not_answer_is_worth_another_try(make: Callable[..., Any]) -> None:
    world = await make(limits={"answer_seconds": 0.05})
    world.topic.gate.clear()
    async with world.http.post(
        "/api/v1/write", data=compressed(request_v1([GOOD])), headers={**bearer(), **V1}
    ) as answer:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
    world.topic.gate.set()


async def test_what_kafka_refuses_for_good_is_not_to_be_sent_again(make: Callable[..., Any]) -> None:
    world = await make(failures=[UnsendableError("too large")])
    assert (await world.write(compressed(request_v1([GOOD])), V1))[0] == 413


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"pat": "/x"}, id="unknown"),
        pytest.param({"metric_relabel_configs": [{"action": "replace", "regex": "("}]}, id="regex"),
        pytest.param({"series": {"labels": 0}}, id="limit"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any]) -> None:
    topic = RecordingTopic()
    with pytest.raises(ConfigurationError, match=r"handlers\.remote-write"):
        remote_write.build(settings, wiring("remote-write", Framer("x", 1, topic)))

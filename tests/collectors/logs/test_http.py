"""Bodies as Logstash's, Vector's and Fluent Bit's HTTP outputs post them, and what is none."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import cramjam
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abdrift.configuration import ConfigurationError
from abdrift.signals.logs import LogRow
from collectors.logs import http
from collectors.receiving import Answer, Client, Received, RefusedError
from collectors.receiving.config import ClientConfig
from tests.collectors.logs import events
from tests.collectors.logs.test_secrets import CANARY
from tests.collectors.receiving.receiving import NOW_MS, TOKEN_SHA256, bearer, config, receiving, wiring
from tests.collectors.recording import Recording, RecordingLetters

if TYPE_CHECKING:
    from collections.abc import Callable

MANY = Client(ClientConfig(name="many", clusters=("edge-*",), bearer_sha256=TOKEN_SHA256))
ONE = Client(ClientConfig(name="one", cluster="edge-7", bearer_sha256=TOKEN_SHA256))
TWO = [events.FILEBEAT, events.VECTOR]


class Posted:
    """A handler and what came of its requests."""

    def __init__(self, **given: Any) -> None:
        self.outlet, self.letters = Recording(), RecordingLetters()
        self.handler = http.build(given, wiring("logs", self.outlet, self.letters))

    async def post(self, body: bytes, client: Client = MANY, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.handler.handle(Received(client, "POST", "/logs", {}, named, body, NOW_MS))

    @property
    def rows(self) -> list[LogRow]:
        return [row for row in self.outlet.rows if isinstance(row, LogRow)]


def lines(found: list[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(each) + b"\n" for each in found)


@pytest.mark.parametrize(
    ("body", "user_agent", "senders"),
    [
        pytest.param(orjson.dumps(events.LOGSTASH), "Manticore 0.9.1", ["logstash"], id="logstash-json"),
        pytest.param(
            orjson.dumps([events.LOGSTASH] * 2), "Manticore 0.9.1", ["logstash"] * 2, id="logstash-json-batch"
        ),
        pytest.param(lines([events.VECTOR] * 2), "Vector/0.41", ["vector"] * 2, id="vector-ndjson"),
        pytest.param(orjson.dumps([events.FLUENT_BIT]), "Fluent-Bit", ["fluent-bit"], id="fluent-bit-json"),
        pytest.param(lines([events.FLUENT_BIT] * 3), "Fluent-Bit", ["fluent-bit"] * 3, id="fluent-bit-json-lines"),
        pytest.param(json.dumps(events.JOURNALD, indent=2).encode(), "curl/8", ["http"], id="over-several-lines"),
        pytest.param(orjson.dumps(events.FILEBEAT), "curl/8", ["filebeat"], id="says-so-itself"),
        pytest.param(b"\n \n", "curl/8", [], id="blank"),
        pytest.param(b"[]", "curl/8", [], id="empty-array"),
    ],
)
async def test_bodies(body: bytes, user_agent: str, senders: list[str]) -> None:
    posted = Posted()
    answer = await posted.post(body, User_Agent=user_agent)
    assert (answer.status, orjson.loads(answer.body)) == (200, {"accepted": len(senders), "rejected": {}})
    assert [row.sender for row in posted.rows] == senders
    assert {row.message for row in posted.rows} <= {"payment failed"}


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("zstd", lambda plain: bytes(cramjam.zstd.compress(plain))),
    ],
)
async def test_packed_bodies_and_bombs(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    posted = Posted(decoded_bytes=10_000)
    await posted.post(pack(orjson.dumps(TWO)), Content_Encoding=encoding)
    assert len(posted.rows) == len(TWO)
    for body, status in ((pack(b" " * 50_000_000), 413), (pack(b"{}" * 100)[:-9], 400), (b"no such thing", 400)):
        with pytest.raises(RefusedError) as error:
            await posted.post(body, Content_Encoding=encoding)
        assert error.value.status == status


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        pytest.param(b"hello", 400, "bad-json", id="text"),
        pytest.param(b'{"a":1}{"a":2}', 400, "bad-json", id="json-stream"),
        pytest.param(b"\xff\xfe", 400, "bad-json", id="no-utf-8"),
        pytest.param(b"[" * 100_000, 400, "bad-json", id="deep"),
        pytest.param(b"[" + b"[],{}," * 300_000 + b"1]", 413, "too-large", id="many-small-things"),
        pytest.param(b"x" * 20_000_000, 413, "too-large", id="beyond-what-is-decoded"),
        pytest.param(b'"text"', 400, "no-object", id="a-string"),
        pytest.param(b'{"message":"x"}', 403, "no-cluster", id="no-cluster"),
        pytest.param(b'{"cluster":"mgmt"}', 403, "not-its-cluster", id="another-s-cluster"),
    ],
)
async def test_of_which_nothing_can_be_used_is_refused_for_good(body: bytes, status: int, reason: str) -> None:
    posted = Posted()
    with pytest.raises(RefusedError) as error:
        await posted.post(body)
    assert (error.value.status, error.value.reason) == (status, reason)
    assert not posted.rows
    assert not posted.letters.letters


async def test_a_refusal_for_want_of_a_cluster_names_the_way_out() -> None:
    with pytest.raises(RefusedError, match=r"add the field orchestrator\.cluster\.name"):
        await Posted().post(b'{"message":"x"}')


async def test_what_can_be_read_is_taken_and_the_rest_kept_as_dead_letters() -> None:
    posted = Posted()
    body = lines([{"cluster": "edge-1", "message": "a"}]) + b'{"token":"%b"\n' % CANARY.encode()
    answer = await posted.post(body + lines([{"message": f"password={CANARY}"}, {"cluster": "edge-1", "message": "b"}]))
    assert orjson.loads(answer.body) == {"accepted": 2, "rejected": {"bad-json": 1, "no-cluster": 1}}
    assert [row.message for row in posted.rows] == ["a", "b"]
    assert posted.letters.reasons == ["bad-json", "no-cluster"]
    assert CANARY.encode() not in b"".join(posted.letters.values)


async def test_a_client_of_one_cluster_need_not_name_it() -> None:
    posted = Posted()
    await posted.post(b'{"message":"x","cluster":"another"}', ONE)
    assert [row.cluster for row in posted.rows] == ["edge-7"]


async def test_through_a_real_receiver() -> None:
    posted = Posted(paths=["/vector"])
    async with receiving(config(handlers={"logs": {}}), posted.handler) as (_, client):
        async with client.post("/vector", data=lines(TWO), headers=bearer()) as answer:
            assert (answer.status, await answer.json()) == (200, {"accepted": 2, "rejected": {}})
        async with client.post("/vector", data=lines(TWO)) as answer:
            assert answer.status == 401
    assert [row.cluster for row in posted.rows] == ["edge-0001"] * 2


FUZZED = Posted()


@given(st.binary(max_size=300) | st.lists(st.dictionaries(st.text(), st.text())).map(orjson.dumps))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_any_body_is_answered_or_refused(body: bytes) -> None:
    async def status() -> int:
        try:
            return (await FUZZED.post(body, ONE)).status
        except RefusedError as error:
            return error.status

    assert await status() in {200, 400}


@pytest.mark.parametrize(
    "given_", [{"paths": []}, {"paths": ["logs"]}, {"nosuch": 1}, {"secrets": {"key_file": "/nosuch"}}]
)
def test_a_configuration_that_cannot_be(given_: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"handlers\.logs"):
        http.build(given_, wiring("logs", Recording()))

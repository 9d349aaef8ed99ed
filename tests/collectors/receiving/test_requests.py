"""Requests against a real receiver on loopback: who gets in, with what, and what is said otherwise."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections import Counter
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from collectors.framing import NotDeliveredError
from collectors.receiving import Answer, Received, RefusedError
from tests.collectors.receiving.receiving import TOKEN, Keeping, bearer, config, receiving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BODY = b'{"some": "body"}'
KEY = b"a-key-to-sign-by"


def signature(algorithm: str, body: bytes = BODY, key: bytes = KEY) -> str:
    return f"{algorithm}={hmac.new(key, body, algorithm).hexdigest()}"


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        pytest.param(bearer(), "", 204, id="token"),
        pytest.param(bearer("another"), "", 401, id="wrong-token"),
        pytest.param({}, "", 401, id="nothing"),
        pytest.param({"Authorization": "Digest username=one"}, "", 401, id="another-scheme"),
        pytest.param(basic("site-7", TOKEN), "", 204, id="password"),
        pytest.param(basic("site-7", "wrong"), "", 401, id="wrong-password"),
        pytest.param(basic("site-8", TOKEN), "", 401, id="unknown-user"),
        pytest.param({"Authorization": "Basic %%%"}, "", 401, id="basic-that-is-no-base64"),
        pytest.param({"X-Signature": signature("sha256")}, "?client=signer", 204, id="sha256"),
        pytest.param({"X-Signature": signature("sha512")}, "?client=signer", 204, id="sha512"),
        pytest.param({"X-Signature": signature("sha1")}, "?client=signer", 401, id="sha1-is-none-of-ours"),
        pytest.param({"X-Signature": signature("sha256", b"other")}, "?client=signer", 401, id="another-body"),
        pytest.param({"X-Signature": signature("sha256", key=b"x")}, "?client=signer", 401, id="another-key"),
        pytest.param({"X-Signature": signature("sha256")}, "", 401, id="signed-by-nobody"),
        pytest.param({"X-Signature": signature("sha256")}, "?client=one", 401, id="client-without-key"),
        pytest.param({"X-Signature": "sha256=\u00e9"}, "?client=signer", 401, id="signature-that-is-no-hex"),
    ],
)
async def test_who_gets_in(tmp_path: Path, headers: dict[str, str], query: str, status: int) -> None:
    (tmp_path / "key").write_bytes(KEY + b"\n")
    one = {"name": "one", "cluster": "edge-0001", "bearer_sha256": hashlib.sha256(TOKEN.encode()).hexdigest()}
    (tmp_path / "password").write_text(TOKEN)
    basic_client = {
        "name": "site-7",
        "cluster": "edge-0007",
        "basic": {"username": "site-7", "password_file": str(tmp_path / "password")},
    }
    signer = {"name": "signer", "cluster": "edge-0002", "hmac_key_file": str(tmp_path / "key")}
    handler = Keeping()
    async with (
        receiving(config(clients=[one, basic_client, signer]), handler) as (_, client),
        client.post(f"/keep{query}", data=BODY, headers=headers) as answer,
    ):
        assert answer.status == status, await answer.text()
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert [request.body for request in handler.seen] == ([BODY] if status == 204 else [])


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(
    ("request_", "changes", "status"),
    [
        pytest.param({"url": "/other"}, {}, 404, id="unknown-path"),
        pytest.param({"method": "GET"}, {}, 405, id="method"),
        pytest.param({"data": b"x" * 101}, {}, 413, id="too-large"),
        pytest.param({"data": [b"x" * 60, b"x" * 60]}, {}, 413, id="too-large-in-chunks"),
        pytest.param({"data": b"x" * 100}, {}, 204, id="just-as-large-as-it-may-be"),
        pytest.param({"data": b"x" * 100, "expect100": True}, {}, 204, id="asks-whether-to-go-on"),
        pytest.param({}, {"client": {"handlers": ["other"]}}, 403, id="not-its-handler"),
    ],
)
async def test_what_is_refused_before_a_handler_sees_it(
    request_: dict[str, Any], changes: dict[str, Any], status: int
) -> None:
    handler = Keeping()
    limits = {"body_bytes": 100}
    given = {"method": "POST", "url": "/keep", "headers": bearer(), "data": b"x", **request_}
    if isinstance(given["data"], list):
        given["data"] = chunks(*given["data"])
    handlers = {"keeping": {}, "other": {}}
    async with (
        receiving(config(limits=limits, handlers=handlers, **changes), handler) as (_, client),
        client.request(**given) as answer,
    ):
        assert answer.status == status
    assert bool(handler.seen) == (status == 204)


async def raises(error: Exception) -> Answer:
    raise error


async def too_long() -> Answer:
    await asyncio.sleep(3600)
    return Answer()


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        pytest.param(RefusedError(400, "malformed", "no JSON"), 400, False, id="refused"),
        pytest.param(NotDeliveredError("x", Counter(refused=1)), 413, False, id="kafka-refuses"),
        pytest.param(NotDeliveredError("x", Counter(stopped=1)), 503, True, id="stopped"),
        pytest.param(TimeoutError(), 503, True, id="slow"),
        pytest.param(KeyError("oops"), 500, False, id="mistake"),
    ],
)
async def test_what_a_handler_raises_is_told_in_http(error: Exception, status: int, retry: bool) -> None:
    handler = Keeping(respond=lambda _: raises(error))
    async with receiving(config(), handler) as (_, client), client.post("/keep", headers=bearer(), data=b"x") as answer:
        assert answer.status == status
        assert ("Retry-After" in answer.headers) == retry


async def test_an_answer_that_takes_too_long_is_503() -> None:
    handler = Keeping(respond=lambda _: too_long())
    async with (
        receiving(config(limits={"answer_seconds": 0.05}), handler) as (_, client),
        client.post("/keep", headers=bearer(), data=b"x") as answer,
    ):
        assert answer.status == 503


async def test_a_body_that_does_not_come_is_408() -> None:
    async with receiving(config(limits={"body_seconds": 0.05}), Keeping()) as (receiver, _):
        reader, writer = await asyncio.open_connection(*receiver.address)
        head = f"POST /keep HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9\r\n\r\nhalf"
        writer.write(head.encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_above_its_rate_a_client_is_told_when_to_come_back() -> None:
    rate = {"requests_per_second": 0.01, "burst_seconds": 1}
    async with receiving(config(client={"rate": rate}), Keeping()) as (_, client):
        statuses = []
        for _ in range(2):
            async with client.post("/keep", headers=bearer(), data=b"x") as answer:
                statuses.append((answer.status, int(answer.headers.get("Retry-After", 0)) > 0))
    assert statuses == [(204, False), (503, True)]


async def test_more_at_once_than_a_client_or_all_may_is_503() -> None:
    released = asyncio.Event()

    async def held(_: Received) -> Answer:
        await released.wait()
        return Answer(204)

    handler = Keeping(respond=held)
    settings = config(limits={"concurrent_requests": 2}, client={"rate": {"concurrent_requests": 1}})
    async with receiving(settings, handler) as (_, client):
        first = asyncio.create_task(client.post("/keep", headers=bearer(), data=b"x").__aenter__())
        await handler.entered.wait()
        async with client.post("/keep", headers=bearer(), data=b"x") as answer:
            assert answer.status == 503
            assert "of this client" in await answer.text()
        released.set()
        assert (await first).status == 204
    busy = Keeping(respond=held)
    released.clear()
    async with receiving(config(limits={"concurrent_requests": 1}), busy) as (_, client):
        first = asyncio.create_task(client.post("/keep", headers=bearer(), data=b"x").__aenter__())
        await busy.entered.wait()
        async with client.post("/keep", headers=bearer(), data=b"x") as answer:
            assert answer.status == 503
            assert "Retry-After" in answer.headers
        released.set()
        assert (await first).status == 204


async def test_the_health_pages_tell_whether_kafka_answers() -> None:
    asked = asyncio.Event()

    async def silent() -> bool:
        asked.set()
        raise ConnectionError

    async with receiving(config(), Keeping(), answers=silent) as (_, client):
        await asked.wait()
        async with client.get("/healthz") as alive, client.get("/readyz") as ready:
            assert (alive.status, ready.status) == (200, 503)
            assert await ready.text() == "Kafka does not answer"


async def test_ready_once_kafka_answered() -> None:
    answered = asyncio.Event()

    async def prompt() -> bool:
        answered.set()
        return True

    async with receiving(config(), Keeping(), answers=prompt) as (_, client):
        await answered.wait()
        async with client.get("/readyz") as ready:
            assert ready.status == 200


async def test_a_body_that_has_not_arrived_by_the_end_is_503() -> None:
    async with receiving(config(limits={"drain_seconds": 0}), Keeping()) as (receiver, _):
        reader, writer = await asyncio.open_connection(*receiver.address)
        head = f"POST /keep HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9\r\n"
        writer.write(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert await reader.readline() == b"\r\n"
    assert (await reader.readline()).startswith(b"HTTP/1.1 503")
    writer.close()


@pytest.mark.parametrize(
    ("drain_seconds", "status"), [pytest.param(30, 204, id="ends"), pytest.param(0, 503, id="late")]
)
async def test_a_drain_lets_what_is_under_way_end_or_answers_503(drain_seconds: float, status: int) -> None:
    handler = Keeping()

    async def held(_: Received) -> Answer:
        if not drain_seconds:
            await too_long()
        # The listener is closed by now, which shows from outside.
        while True:
            try:
                _, writer = await asyncio.open_connection(*address)
            except OSError:
                return Answer(204)
            writer.close()
            await asyncio.sleep(0)

    handler.respond = held
    async with aiohttp.ClientSession() as client:
        async with receiving(config(limits={"drain_seconds": drain_seconds}), handler) as (receiver, _):
            address = receiver.address
            url = f"http://{address[0]}:{address[1]}/keep"
            request = asyncio.create_task(client.post(url, headers=bearer(), data=b"x").__aenter__())
            await handler.entered.wait()
        assert (await request).status == status

"""What the server answers, to whom, and what it says about itself."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from abdrift.configuration import ConfigurationError, section
from sinks.web import WebConfig
from sinks.web.gate import HEADERS
from sinks.web.model import Reading
from sinks.web.server import page
from tests.parts.waiting import until
from tests.sinks.web import facts
from tests.sinks.web.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PASSWORD_SHA256 = hashlib.sha256(b"aye").hexdigest()
VIEWERS = [
    {"name": "anna", "basic": {"username": "anna", "password_sha256": PASSWORD_SHA256}},
    {"name": "robot", "bearer_sha256": hashlib.sha256(b"t0ken").hexdigest()},
]
ANNA = {"Authorization": "Basic " + base64.b64encode(b"anna:aye").decode()}


@pytest.fixture
def world() -> World:
    world = World()
    world.tell([facts.inventory("a", site="fra1"), facts.health("a")])
    return world


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Yield the id and the data of each event of a stream."""
    name = ""
    async for line in answer.content:
        if line.startswith(b"id: "):
            name = line[4:].decode().strip()
        elif line.startswith(b"data: "):
            yield name, json.loads(line[6:])


async def test_the_page_is_whole_and_names_nothing_from_elsewhere(world: World, client: aiohttp.ClientSession) -> None:
    async with world.served() as server:
        for name, file in page().items():
            path = "" if name == "index.html" else name
            async with client.get(server.url + path) as answer:
                assert (answer.status, await answer.read()) == (200, file.body), name
                assert answer.headers["Content-Encoding"] == "gzip"
                assert {key: answer.headers[key] for key in HEADERS} == dict(HEADERS)
            async with client.get(server.url + path, headers={"If-None-Match": file.tag}) as answer:
                assert answer.status == 304
    html = page()["index.html"].body.decode()
    assert "http" not in html.replace("http-equiv", ""), "all of it comes from this server"
    assert "style=" not in html
    assert "onclick" not in html


async def test_every_script_is_one_that_exists() -> None:
    files = page()
    for name, file in files.items():
        for line in file.body.decode().splitlines():
            if name.endswith(".js") and line.startswith("import "):
                assert line.split('"./')[1].rstrip('";') in files, (name, line)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        pytest.param("nothing", "GET", 404, id="no such path"),
        pytest.param("nothing.js", "GET", 404, id="no such file"),
        pytest.param("..%2fserver.py", "GET", 404, id="no way out of the folder"),
        pytest.param("api/clusters/nobody", "GET", 404, id="no such cluster"),
        pytest.param("api/fleet", "POST", 405, id="nothing can be changed"),
        pytest.param("healthz", "GET", 200, id="alive"),
        pytest.param("readyz", "GET", 200, id="ready"),
        pytest.param("metrics", "GET", 200, id="metrics"),
    ],
)
async def test_what_is_there(world: World, client: aiohttp.ClientSession, path: str, method: str, status: int) -> None:
    async with world.served() as server, client.request(method, server.url + path) as answer:
        assert answer.status == status
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        pytest.param(Reading("reading", 70, 100), "70 records are still to be read", id="reading"),
        pytest.param(Reading("lost"), "Kafka does not answer", id="lost"),
    ],
)
async def test_who_is_not_ready_says_why(
    world: World, client: aiohttp.ClientSession, reading: Reading, words: str
) -> None:
    world.model.reading = reading
    async with world.served() as server, client.get(server.url + "readyz") as answer:
        assert (answer.status, await answer.text()) == (503, words)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("127.0.0.1:8490", 200, id="an address"),
        pytest.param("[::1]:8490", 200, id="an address of six"),
        pytest.param("[::1]", 200, id="an address of six without a port"),
        pytest.param("localhost", 200, id="localhost"),
        pytest.param("Fleet.Example.com:443", 200, id="a name of its own"),
        pytest.param("evil.example", 421, id="a name that was bent to this address"),
        pytest.param("127.0.0.1.evil.example", 421, id="a name that looks like an address"),
        pytest.param("", 421, id="none"),
    ],
)
async def test_only_its_own_names_are_answered(
    world: World, client: aiohttp.ClientSession, host: str, status: int
) -> None:
    async with (
        world.served(names=["fleet.example.com"]) as server,
        client.get(server.url + "api/fleet", headers={"Host": host}) as answer,
    ):
        assert answer.status == status


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        pytest.param("", {}, 401, id="nobody"),
        pytest.param("api/fleet", {}, 401, id="nobody, at the data"),
        pytest.param("metrics", {}, 401, id="nobody, at the metrics"),
        pytest.param("healthz", {}, 200, id="a kubelet"),
        pytest.param("", ANNA, 200, id="a person"),
        pytest.param("", {"Authorization": "Basic " + base64.b64encode(b"anna:no").decode()}, 401, id="wrong password"),
        pytest.param("", {"Authorization": "Bearer t0ken"}, 200, id="a program"),
        pytest.param("", {"Authorization": "Bearer token"}, 401, id="wrong token"),
    ],
)
async def test_viewers_prove_who_they_are(
    world: World, client: aiohttp.ClientSession, path: str, headers: dict[str, str], status: int
) -> None:
    async with world.served(viewers=VIEWERS) as server, client.get(server.url + path, headers=headers) as answer:
        assert answer.status == status
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({"listen": "0.0.0.0:8490"}, "everyone who reaches it would see the fleet", id="open by mistake"),
        pytest.param({"listen": "8490"}, "is not HOST:PORT", id="no address"),
        pytest.param({"names": ["a b"]}, "should match pattern", id="no name"),
        pytest.param({"viewers": [{"name": "x"}]}, "give one of", id="no proof"),
        pytest.param({"viewers": [VIEWERS[0], VIEWERS[0]]}, "given twice", id="twice"),
        pytest.param({"viewer": []}, "Extra inputs", id="misspelt"),
    ],
)
def test_what_cannot_be_is_said(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        section(WebConfig, "web", given)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"listen": "0.0.0.0:1", "viewers": VIEWERS}, id="viewers"),
        pytest.param({"listen": "0.0.0.0:1", "open_to_all": True}, id="said so"),
        pytest.param({"listen": "localhost:1"}, id="this machine only"),
        pytest.param({"listen": "[::1]:1"}, id="this machine only, by six"),
    ],
)
def test_beyond_this_machine_somebody_must_have_said_for_whom(given: dict[str, Any]) -> None:
    assert section(WebConfig, "web", given).listen == given["listen"]


async def test_a_stream_tells_everything_then_what_changes_and_goes_on_where_it_was(
    world: World, client: aiohttp.ClientSession
) -> None:
    async with world.served() as server:
        async with client.get(server.url + "api/events") as answer:
            assert answer.content_type == "text/event-stream"
            told = events(answer)
            known, first = await anext(told)
            assert first["whole"]
            world.tell([facts.health("a", "failing", why="broken")])
            _, second = await anext(told)
            assert [row[:2] for row in second["cells"]] == [[0, 2]]
            assert "whole" not in second
        world.tell([facts.changed("a", "f1")])
        async with client.get(server.url + "api/events", headers={"Last-Event-ID": known}) as answer:
            _, missed = await anext(events(answer))
            assert [row[:3] for row in missed["cells"]] == [[0, 2, 1]], "one row for all that it missed"
            assert "whole" not in missed
        async with client.get(server.url + "api/events", headers={"Last-Event-ID": "older-7"}) as answer:
            _, anew = await anext(events(answer))
            assert anew["whole"], "another process's word means nothing here"


async def test_no_more_browsers_than_may_and_a_place_is_free_again(world: World, client: aiohttp.ClientSession) -> None:
    async with world.served(browsers=1) as server:
        async with client.get(server.url + "api/events") as first:
            await anext(events(first))
            async with client.get(server.url + "api/events") as second:
                assert (second.status, second.headers["Retry-After"]) == (503, "5")
            world.tell([facts.health("a", "failing", why="broken")])

        async def is_free() -> bool:
            world.tell([facts.health("a")])  # a stream whose browser went is noticed by what is written to it
            async with client.get(server.url + "api/events") as third:
                return third.status == 200

        await until(is_free, "the place of the browser that went")


async def test_a_browser_that_takes_nothing_is_let_go_and_costs_no_memory(world: World) -> None:
    large, other = ([facts.inventory(f"edge-{n}", note=letter * 60_000) for n in range(50)] for letter in "xy")
    world.tell(large)
    async with world.served(write_seconds=0.2) as server:
        host, port = server.url.removeprefix("http://").rstrip("/").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await reader.readexactly(64)

        async def is_let_go() -> bool:
            world.tell(other)
            world.tell(large)
            return server.browsers == 0

        await until(is_let_go, "the slow browser's end")
        writer.close()


async def test_what_everybody_is_told_is_encoded_once(world: World, client: aiohttp.ClientSession) -> None:
    async with world.served() as server:
        bodies = []
        for _ in range(3):
            async with client.get(server.url + "api/fleet") as answer:
                bodies.append(await answer.read())
        assert len(set(bodies)) == 1
        assert json.loads(bodies[0])["whole"]

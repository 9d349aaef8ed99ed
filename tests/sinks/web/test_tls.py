"""The page over TLS: its certificate, clients' certificates, and certificates that are renewed in place."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from abdrift.configuration import ConfigurationError, section
from sinks.web import Server, WebConfig
from sinks.web import server as serving
from tests.parts.authority import Authority
from tests.parts.waiting import until
from tests.sinks.web import facts
from tests.sinks.web.world import World

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def world() -> World:
    world = World()
    world.tell([facts.inventory("a", site="fra1"), facts.health("a")])
    return world


async def answer(url: str, context: ssl.SSLContext) -> tuple[int, int]:
    async with aiohttp.ClientSession() as client, client.get(f"{url}api/fleet", ssl=context) as answer:
        return answer.status, len((await answer.json())["cells"])


async def serial(url: str, authority: Authority) -> str:
    """Return the serial number of the certificate that a new connection gets."""
    host, port = url.removeprefix("https://").rstrip("/").split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=authority.context())
    try:
        return str(writer.get_extra_info("peercert")["serialNumber"])
    finally:
        writer.close()


async def test_the_page_and_its_stream_come_over_tls_and_nothing_in_the_clear(
    world: World, authority: Authority
) -> None:
    async with world.served(tls=authority.served()) as server:
        assert server.url.startswith("https://")
        assert await answer(server.url, authority.context()) == (200, 1)
        async with aiohttp.ClientSession() as client:
            async with client.get(f"{server.url}api/events", ssl=authority.context()) as stream:
                assert (await stream.content.readline()).startswith(b"retry: ")
            with pytest.raises(aiohttp.ClientError):
                await client.get(server.url.replace("https://", "http://"))


async def test_without_the_certificate_that_is_required_nobody_sees_the_fleet(
    world: World, authority: Authority
) -> None:
    required = authority.served(require_client_certificate=True)
    async with world.served(listen="0.0.0.0:0", tls=required) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        with pytest.raises(aiohttp.ClientError):
            await answer(url, authority.context())
        assert await answer(url, authority.context("anna")) == (200, 1)


async def test_a_certificate_that_was_renewed_in_place_is_served_and_half_a_renewal_is_not(
    world: World,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(serving, "_RELOAD_SECONDS", 0.01)
    files = {name: tmp_path / f"served.{name}" for name in ("certificate", "key")}

    def renew(*names: str) -> None:
        for name, path in zip(("certificate", "key"), authority.pair("server"), strict=True):
            if name in names:
                path.replace(files[name])

    renew("certificate", "key")
    async with world.served(tls={name: str(path) for name, path in files.items()}) as server:
        first = await serial(server.url, authority)
        caplog.clear()
        renew("certificate")

        async def is_told() -> bool:
            return "what was read before stays in force" in caplog.text

        await until(is_told, "word of a certificate without its key")
        assert await serial(server.url, authority) == first
        renew("certificate", "key")

        async def is_renewed() -> bool:
            return await serial(server.url, authority) != first

        await until(is_renewed, "the new certificate")


def test_files_that_cannot_be_used_are_told_before_anything_listens(world: World, authority: Authority) -> None:
    broken = {**authority.served(), "certificate": str(authority.path.with_suffix(".none"))}
    with pytest.raises(ConfigurationError, match="TLS files"):
        Server(section(WebConfig, "web", {"tls": broken}), world.model, world.panel)

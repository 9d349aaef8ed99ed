"""TLS and plain TCP protocols: who a certificate or an address proves, and how a connection ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import pytest

from abdrift.configuration import ConfigurationError
from collectors.receiving import AuthKind, Connection, Receiver, telemetry
from tests.collectors.receiving.receiving import TOKEN, Keeping, bearer, config, kafka_answers, receiving
from tests.parts.authority import Authority

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

HOST = "127.0.0.1"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize(
    ("common_name", "headers", "status"),
    [
        pytest.param("site-1", {}, 204, id="by-certificate"),
        pytest.param("site-2", {}, 401, id="certificate-of-nobody"),
        pytest.param(None, bearer(), 204, id="by-token-without-certificate"),
        pytest.param(None, {}, 401, id="nothing"),
    ],
)
async def test_who_a_certificate_proves(
    authority: Authority, common_name: str | None, headers: dict[str, str], status: int
) -> None:
    settings = config(tls=authority.served(), client={"common_name": "site-1"})
    async with receiving(settings, Keeping()) as (_, client):
        context = authority.context(common_name)
        async with client.post("/keep", data=b"x", headers=headers, ssl=context) as answer:
            assert answer.status == status


async def test_without_the_certificate_that_is_required_there_is_no_connection(authority: Authority) -> None:
    settings = config(tls=authority.served(require_client_certificate=True))
    async with receiving(settings, Keeping()) as (_, client):
        with pytest.raises(aiohttp.ClientError):
            await client.post("/keep", data=b"x", headers=bearer(), ssl=authority.context())


def test_a_certificate_that_cannot_be_used_is_told_at_the_start(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "server.crt").write_text("no certificate")
    broken = {**authority.served(), "certificate": str(tmp_path / "ca.key")}
    with pytest.raises(ConfigurationError, match="TLS files"):
        Receiver(config(tls=broken), [Keeping()], kafka_answers)


@dataclass
class Echo:
    """Sends lines back until the receiver ends."""

    name: str = "echo"
    listen: str = f"{HOST}:0"
    auth: frozenset[AuthKind] = frozenset({AuthKind.COMMON_NAME, AuthKind.ADDRESS})
    clients: list[str] = field(default_factory=list)

    async def serve(self, connection: Connection) -> None:
        self.clients.append(connection.client.name)
        while line := await connection.reader.readline():
            await connection.paced(len(line))
            if line == b"fail\n":
                raise KeyError(line)
            connection.writer.write(line)
            await connection.writer.drain()


async def said(address: tuple[str, int], line: bytes, context: ssl.SSLContext | None = None) -> bytes:
    reader, writer = await asyncio.open_connection(*address, ssl=context)
    try:
        writer.write(line)
        return await reader.readline()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_plain_protocol_serves_whom_a_certificate_or_an_address_proves(authority: Authority) -> None:
    echo = Echo()
    settings = config(tls=authority.served(), client={"common_name": "site-1"})
    async with receiving(settings, echo) as (receiver, _):
        address = receiver.stream_addresses["echo"]
        assert await said(address, b"hello\n", authority.context("site-1")) == b"hello\n"
        assert await said(address, b"hello\n", authority.context("site-2")) == b""
    assert echo.clients == ["one"]
    near, far = Echo(), Echo()
    for handler, network in ((near, "127.0.0.0/8"), (far, "192.0.2.0/24")):
        async with receiving(config(client={"addresses": [network]}), handler) as (receiver, _):
            answer = await said(receiver.stream_addresses["echo"], b"hello\n")
        assert answer == (b"hello\n" if handler is near else b"")


NEAR = {"addresses": ["127.0.0.0/8"]}


async def test_a_connection_that_fails_harms_no_other() -> None:
    async with receiving(config(client=NEAR), Echo()) as (receiver, _):
        address = receiver.stream_addresses["echo"]
        reader, writer = await asyncio.open_connection(*address)
        assert await said(address, b"fail\n") == b""
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        writer.close()


async def test_more_connections_than_may_be_are_closed() -> None:
    async with receiving(config(client=NEAR, limits={"connections": 1}), Echo()) as (receiver, _):
        address = receiver.stream_addresses["echo"]
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"first\n")
        assert await reader.readline() == b"first\n"
        assert await said(address, b"second\n") == b""
        writer.close()


async def test_a_drain_ends_connections_that_do_not_end_by_themselves() -> None:
    async with receiving(config(client=NEAR, limits={"drain_seconds": 0}), Echo()) as (receiver, _):
        reader, writer = await asyncio.open_connection(*receiver.stream_addresses["echo"])
        writer.write(b"first\n")
        assert await reader.readline() == b"first\n"
    assert await reader.read() == b""
    writer.close()


async def test_a_renewed_token_counts_and_the_old_one_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.receiving.server._RELOAD_SECONDS", 0.01)
    path = tmp_path / "token"
    path.write_text(TOKEN)
    async with receiving(config(client={"bearer_sha256": None, "bearer_file": str(path)}), Keeping()) as (_, client):

        async def status(token: str) -> int:
            async with client.post("/keep", data=b"x", headers=bearer(token)) as answer:
                return answer.status

        assert await status(TOKEN) == 204
        path.write_text("renewed")
        async with asyncio.timeout(30):
            while await status("renewed") != 204:
                pass
        assert await status(TOKEN) == 401
        path.unlink()
        failed = telemetry.RELOADS.labels("failed")._value
        before = failed.get()
        async with asyncio.timeout(30):
            while failed.get() == before:  # noqa: ASYNC110  a counter tells nobody
                await asyncio.sleep(0.01)
        assert await status("renewed") == 204, "what was read before stays in force"

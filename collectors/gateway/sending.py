"""The agent's end: a `Send` that posts frames to a gateway."""

import ssl
from http import HTTPStatus
from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from collectors.gateway.protocol import FRAME_TYPE, PATH, Welcome
from collectors.lanes import Headers, UnsendableError
from collectors.spool.segments import SpooledFrame

_REFUSED_FOR_GOOD = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
_TOLD_CHARS = 300
_KEPT_OPEN_SECONDS = 600.0
"""A connection is kept from one heartbeat to the next: another TLS handshake costs more bytes than what is sent."""


class GatewayError(Exception):
    """A gateway does not take a frame now: it can't be reached, it refuses this agent, or Kafka is away."""


class Gateway:
    """One gateway. Use as an async context manager; `send` is what framers or a spool send with."""

    def __init__(
        self,
        url: str,
        *,
        tls: ssl.SSLContext | None = None,
        token: str | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        """`url` is the receiver's, without a path; `tls` holds the agent's certificate where it has one."""
        self._url = url.rstrip("/") + PATH
        self._tls = tls
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._tls or True, limit=8, keepalive_timeout=_KEPT_OPEN_SECONDS)
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def partitions(self) -> int:
        """Ask how many partitions the fleet's topics have.

        Raises:
            GatewayError: there is no such answer.

        """
        status, body = await self._ask("GET", None)
        if status != HTTPStatus.OK:
            raise GatewayError(f"{self._url} answers {status}: {_told(body)}")
        try:
            return msgspec.json.decode(body, type=Welcome).partitions
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise GatewayError(f"{self._url} is no gateway: {error}") from error

    async def send(self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers) -> None:
        """Send a frame; return once Kafka has acknowledged it.

        Raises:
            UnsendableError: it will never be taken.
            GatewayError: it is not taken now.

        """
        frame = SpooledFrame(topic, partition, key, value, headers)
        status, body = await self._ask("POST", msgspec.msgpack.encode(frame))
        if status in _REFUSED_FOR_GOOD:
            raise UnsendableError(f"{self._url} answers {status}: {_told(body)}")
        if status != HTTPStatus.NO_CONTENT:
            raise GatewayError(f"{self._url} answers {status}: {_told(body)}")

    async def _ask(self, method: str, body: bytes | None) -> tuple[int, bytes]:
        if self._session is None:
            raise RuntimeError("the gateway was not entered")
        headers = {"Content-Type": FRAME_TYPE} if body is not None else {}
        try:
            asked = self._session.request(method, self._url, data=body, headers=headers, allow_redirects=False)
            async with asked as answer:
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise GatewayError(f"{self._url} can't be reached: {error or type(error).__name__}") from error


def _told(body: bytes) -> str:
    return body[:_TOLD_CHARS].decode(errors="replace").strip()

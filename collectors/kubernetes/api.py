"""One cluster's API as an agent uses it: reads only, errors as values of few kinds, watches as streams of JSON."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from ssl import SSLContext  # noqa: TC003  aiohttp is asked for it at run time too
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from abdrift.kubeapi import Credentials, KubeApiError
from collectors import telemetry
from collectors.kubernetes.config import KubernetesConfig

log = logging.getLogger(__name__)

Query = Mapping[str, str]
JSON = "application/json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
"""Lists and watches of objects without their content, where the server can."""
METADATA_OF_ONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"

_MAX_LINE_BYTES = 16 * 1024 * 1024
_MAX_ERROR_BYTES = 64 * 1024


class ApiRefusedError(KubeApiError):
    """An answer other than 2xx. `retry_after_seconds` is what the server asked for, if it did."""

    def __init__(self, status: int, reason: str, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(status, reason, message)
        self.retry_after_seconds = retry_after_seconds


class UnreachableError(Exception):
    """No answer, or one that broke off."""


class Api:
    """Requests to one API server. Use as an async context manager."""

    def __init__(self, config: KubernetesConfig) -> None:
        self._config = config
        self._credentials: Credentials | None = None
        self._ssl: SSLContext | bool = True
        self._session: aiohttp.ClientSession | None = None
        self._reloading = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Raise KubeConfigError where the credentials are unusable."""
        await self._load()
        self._session = aiohttp.ClientSession(
            # Each watch holds a connection for itself, so the number of kinds is the bound.
            connector=aiohttp.TCPConnector(limit=0),
            headers={"User-Agent": "abdrift-agent"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def get(self, path: str, query: Query | None = None, accept: str = JSON) -> dict[str, Any]:
        """Return the object or list at a path.

        Raises:
            ApiRefusedError: the server refused.
            UnreachableError: there was no whole answer in time.

        """
        timeout = aiohttp.ClientTimeout(
            total=self._config.request_timeout_seconds, sock_connect=self._config.connect_timeout_seconds
        )
        async with self._request(path, query or {}, accept, timeout) as answer:
            try:
                return dict(orjson.loads(await answer.read()))
            except (ValueError, TypeError) as error:
                raise self._unreachable(f"not JSON: {error}", "not-json") from error

    async def pages(self, path: str, query: Query, accept: str = JSON) -> AsyncIterator[dict[str, Any]]:
        """Yield a list's pages, one at a time. Raises as `get`; 410 where the list grew too old to go on with."""
        going_on = ""
        while True:
            page = await self.get(
                path,
                {**query, "limit": str(self._config.page_size), **({"continue": going_on} if going_on else {})},
                accept,
            )
            yield page
            going_on = str((page.get("metadata") or {}).get("continue") or "")
            if not going_on:
                return

    @asynccontextmanager
    async def watch(self, path: str, query: Query, accept: str = JSON) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Open a watch; the value yields its events until the server ends it. Raises as `get`, while iterating too."""
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._config.connect_timeout_seconds, sock_read=self._config.idle_seconds
        )
        async with self._request(path, {**query, "watch": "true"}, accept, timeout) as answer:
            yield self._events(answer)

    async def _events(self, answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
        rest = b""
        async for chunk in answer.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line:
                    try:
                        yield orjson.loads(line)
                    except orjson.JSONDecodeError as error:
                        raise self._unreachable(f"the watch sent no JSON: {error}", "not-json") from error
            if len(rest) > _MAX_LINE_BYTES:
                raise self._unreachable(f"a watch event of more than {_MAX_LINE_BYTES} bytes", "too-large")

    @asynccontextmanager
    async def _request(
        self, path: str, query: Query, accept: str, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        assert self._session, "use Api as an async context manager"
        assert self._credentials
        credentials = self._credentials
        # An exec plugin may have to be run for a new token, which must not hold the loop up.
        headers = await asyncio.to_thread(credentials.headers) | {"Accept": accept}
        try:
            async with self._session.get(
                credentials.server + path,
                params=query,
                headers=headers,
                timeout=limits,
                ssl=self._ssl,
                server_hostname=credentials.server_hostname,
            ) as answer:
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise await self._refusal(answer, credentials)
                yield answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(repr(error), type(error).__name__) from error

    async def _refusal(self, answer: aiohttp.ClientResponse, used: Credentials) -> ApiRefusedError:
        body = await answer.content.read(_MAX_ERROR_BYTES)
        telemetry.API_ERRORS.labels(self._config.source, str(answer.status)).inc()
        if answer.status == HTTPStatus.UNAUTHORIZED:
            await self._reload(used)
        return refusal(answer.status, body, answer.headers.get("Retry-After"))

    def _unreachable(self, message: str, code: str) -> UnreachableError:
        telemetry.API_ERRORS.labels(self._config.source, code).inc()
        return UnreachableError(message)

    async def _load(self) -> None:
        self._credentials = await asyncio.to_thread(Credentials.load, self._config.kubeconfig, self._config.context)
        self._ssl = self._credentials.ssl or True

    async def _reload(self, used: Credentials) -> None:
        """Read the credentials anew, once for all requests that were refused with the same ones."""
        async with self._reloading:
            if self._credentials is not used:
                return
            try:
                await self._load()
            except ValueError as error:  # the file may be half written: the next 401 tries again
                log.warning("%s: credentials were refused and can't be read anew: %s", self._config.source, error)


def refusal(status: int, body: bytes, retry_after: str | None = None) -> ApiRefusedError:
    """Return the error that an answer's Status object explains."""
    try:
        value = orjson.loads(body)
        reason, message = str(value.get("reason", "")), str(value.get("message", ""))
    except (orjson.JSONDecodeError, AttributeError):
        reason, message = "", body[:200].decode(errors="replace")
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
    return ApiRefusedError(status, reason, message, seconds)

"""One cluster's API as an agent uses it: reads only, errors as values of few kinds, watches as streams of JSON."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from http import HTTPStatus
from ssl import SSLContext  # noqa: TC003  aiohttp is asked for it at run time too
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import orjson

from abdrift.kubeapi import Credentials, KubeApiError
from collectors import telemetry
from collectors.kubernetes.config import KubernetesConfig
from collectors.kubernetes.shares import Share, Unlimited

log = logging.getLogger(__name__)

Query = Mapping[str, str]
JSON = "application/json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
"""Lists and watches of objects without their content, where the server can."""
METADATA_OF_ONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"

T = TypeVar("T")
LoadCredentials = Callable[[], Credentials]
"""Reads who speaks to the server, as it is now. Raises KubeConfigError."""

_MAX_LINE_BYTES = 16 * 1024 * 1024
_READ_BYTES = 16 * 1024
"""Read at once: what one watch brings must not hold up the others for longer than its parsing takes."""
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

    def __init__(
        self, config: KubernetesConfig, load: LoadCredentials | None = None, share: Share | None = None
    ) -> None:
        """`load` is by default from the kubeconfig that `config` names."""
        self._config = config
        self._from = load or (lambda: Credentials.load(config.kubeconfig, config.context))
        self._share = share or Unlimited()
        self._credentials: Credentials | None = None
        self._ssl: SSLContext | bool = True
        self._session: aiohttp.ClientSession | None = None
        self._reloading = asyncio.Lock()
        self._plugin = asyncio.Lock()

    async def open(self) -> None:
        """Read the credentials.

        Raises:
            KubeConfigError: they are unusable.

        """
        await self._load()

    async def __aenter__(self) -> Self:
        """Raise as `open`, unless it is open already."""
        if self._credentials is None:
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
        async with self._share.slots, self._request(path, query or {}, accept, timeout) as answer:
            body = await self._body(answer)
            try:
                return dict(orjson.loads(body))
            except (ValueError, TypeError) as error:
                raise self._unreachable(f"not JSON: {error}", "not-json") from error

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        parts: list[bytes] = []
        size_bytes = 0
        async for part in answer.content.iter_any():
            size_bytes += len(part)
            if size_bytes > self._share.max_answer_bytes:
                raise self._unreachable(f"an answer of more than {self._share.max_answer_bytes} bytes", "too-large")
            await self._share.received(len(part))
            parts.append(part)
        return b"".join(parts)

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
        rest: list[bytes] = []
        rest_bytes = 0
        while chunk := await answer.content.read(_READ_BYTES):
            await self._share.received(len(chunk))
            first, *others = chunk.split(b"\n")
            rest.append(first)
            rest_bytes += len(first)
            if rest_bytes > _MAX_LINE_BYTES:
                raise self._unreachable(f"a watch event of more than {_MAX_LINE_BYTES} bytes", "too-large")
            if not others:
                continue
            lines = (b"".join(rest), *others[:-1])
            rest, rest_bytes = [others[-1]], len(others[-1])
            for line in lines:
                if line:
                    try:
                        yield orjson.loads(line)
                    except orjson.JSONDecodeError as error:
                        raise self._unreachable(f"the watch sent no JSON: {error}", "not-json") from error

    @asynccontextmanager
    async def _request(
        self, path: str, query: Query, accept: str, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        assert self._session, "use Api as an async context manager"
        assert self._credentials
        await self._share.asked()
        credentials = self._credentials
        headers = await self._headers(credentials) | {"Accept": accept}
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

    async def _headers(self, credentials: Credentials) -> dict[str, str]:
        if not credentials.blocking:
            return credentials.headers()
        # An exec plugin may have to be run for a new token; all requests then wait for the one run of it.
        try:
            async with asyncio.timeout(self._config.request_timeout_seconds), self._plugin:
                return await _aside(credentials.headers)
        except TimeoutError as error:
            raise self._unreachable("the kubeconfig's plugin gives no answer", "plugin") from error

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
        self._credentials = await _aside(self._from)
        self._ssl = self._credentials.ssl or True

    async def renew(self) -> None:
        """Speak by the credentials as they are now, from the next request on; open watches go on as they are."""
        if self._credentials is not None:
            await self._reload(self._credentials)

    async def _reload(self, used: Credentials) -> None:
        """Read the credentials anew, once for all requests that were refused with the same ones."""
        async with self._reloading:
            if self._credentials is not used:
                return
            try:
                await self._load()
            except ValueError as error:  # the file may be half written: the next 401 tries again
                log.warning("%s: credentials were refused and can't be read anew: %s", self._config.source, error)


async def _aside(call: Callable[[], T]) -> T:
    """Run what may block in a thread of its own: one that hangs takes no thread from other clusters."""
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="credentials")
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, call)
    finally:
        executor.shutdown(wait=False)


def refusal(status: int, body: bytes, retry_after: str | None = None) -> ApiRefusedError:
    """Return the error that an answer's Status object explains."""
    try:
        value = orjson.loads(body)
        reason, message = str(value.get("reason", "")), str(value.get("message", ""))
    except (orjson.JSONDecodeError, AttributeError):
        reason, message = "", body[:200].decode(errors="replace")
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
    return ApiRefusedError(status, reason, message, seconds)

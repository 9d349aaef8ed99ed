"""A server before Elasticsearch that fails as a busy cluster does: as a whole, for some documents, or too late."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import orjson
from aiohttp import web

from tests.parts.loopback import HOST

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_BYTES = 64 * 1024 * 1024
_PASSED_ON = ("content-type", "accept")


class Failure(Enum):
    """What becomes of one bulk request."""

    BUSY = "429 for all of it"
    UNAVAILABLE = "503 for all of it"
    SOME = "429 or 503 for every second document, the others are written"
    LOST = "all is written, and the connection breaks before the answer"


class Trouble:
    """Passes requests on; the next bulk requests meet the failures that were `brought`. `async with` it."""

    def __init__(self, url: str) -> None:
        self.failures: deque[Failure] = deque()
        self._to = url
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handled)
        self._runner = web.AppRunner(app)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._runner.addresses[0][1]}"

    def bring(self, failures: Iterable[Failure]) -> None:
        """Let the next bulk requests fail."""
        self.failures.extend(failures)

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession()
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _handled(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        failure = self.failures.popleft() if self.failures and request.path == "/_bulk" else None
        match failure:
            case Failure.BUSY:
                return web.json_response({"error": {"type": "circuit_breaking_exception"}}, status=429)
            case Failure.UNAVAILABLE:
                return web.json_response({"error": {"type": "unavailable_shards_exception"}}, status=503)
            case Failure.SOME:
                return await self._some(request, body)
        answer = await self._passed_on(request, body)
        if failure is Failure.LOST:
            assert request.transport is not None
            request.transport.abort()
        return answer

    async def _passed_on(self, request: web.Request, body: bytes) -> web.Response:
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        try:
            async with self._client.request(
                request.method, self._to + request.path_qs, data=body, headers=headers
            ) as answer:
                kept = {n: v for n, v in answer.headers.items() if n.lower() in ("content-type", "x-elastic-product")}
                return web.Response(body=await answer.read(), status=answer.status, headers=kept)
        except aiohttp.ClientError:
            assert request.transport is not None
            request.transport.abort()  # as if this server were not here either
            return web.Response(status=502)

    async def _some(self, request: web.Request, body: bytes) -> web.Response:
        operations = _operations(body)
        passed = b"".join(b"".join(lines) for _, lines in operations[::2])
        answer = await self._passed_on(request, passed)
        written = iter(orjson.loads(answer.body)["items"])  # type: ignore[arg-type]
        items = [
            next(written) if number % 2 == 0 else _refused(action, number)
            for number, (action, _) in enumerate(operations)
        ]
        return web.Response(body=orjson.dumps({"errors": True, "items": items}), headers=answer.headers)


def _operations(body: bytes) -> list[tuple[str, list[bytes]]]:
    """Return a bulk request's actions, each with its lines."""
    lines = iter(body.splitlines(keepends=True))
    found = []
    for line in lines:
        (action,) = orjson.loads(line)
        found.append((action, [line] if action == "delete" else [line, next(lines)]))
    return found


def _refused(action: str, number: int) -> dict[str, Any]:
    status = 429 if number % 4 == 1 else 503
    return {action: {"_index": "busy", "status": status, "error": {"type": "es_rejected_execution_exception"}}}

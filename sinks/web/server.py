"""Listening and answering: the page, what it is told, and this server's own health."""

import asyncio
import contextlib
import gzip
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, Self

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from abdrift.clock import ClockMs, wall_clock_ms
from abdrift.configuration import ConfigurationError
from abdrift.listening import host_and_port
from sinks.web import telemetry
from sinks.web.config import WebConfig
from sinks.web.feed import Batch, Feed
from sinks.web.gate import HEADERS, Gate
from sinks.web.model import Model

log = logging.getLogger(__name__)

_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_UNTOLD: Final = {"Cache-Control": "no-store"}
_RETRY: Final = {"Retry-After": "5"}
_RELOAD_SECONDS: Final = 30.0
_WORTH_PACKING_BYTES: Final = 1_024
_EVENT_STREAM: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "X-Accel-Buffering": "no",  # or a proxy such as nginx keeps batches until it has enough of them
    **_UNTOLD,
}

Panel = Callable[[str], dict[str, Any] | None]
"""Returns what a cluster's panel shows; None where there is no such cluster."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page."""

    content_type: str
    body: bytes
    packed: bytes
    tag: str


class Server:
    """Serves the page while inside `async with`. Leaving it ends every stream."""

    def __init__(self, config: WebConfig, model: Model, panel: Panel, *, clock: ClockMs = wall_clock_ms) -> None:
        """Read what the page is made of, and who may look.

        Raises:
            ConfigurationError: a secret or a certificate cannot be used.

        """
        self._config = config
        self._model = model
        self._panel = panel
        self._gate = Gate.read(config)
        self._context = config.tls.context() if config.tls else None
        self._feed = Feed(model, config.batch_seconds, clock)
        self._files = page()
        self.browsers = 0
        """How many are told of changes now."""
        self._stack = contextlib.AsyncExitStack()
        self.url = ""
        """Where it is, once it listens."""

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: the address cannot be had.

        """
        async with contextlib.AsyncExitStack() as stack:
            # A stream that is under way has nothing to finish; 0 would wait for it for ever.
            runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            host, port = host_and_port(self._config.listen)
            await web.TCPSite(runner, host, port, ssl_context=self._context).start()
            for work in (self._feed.run(), self._reload()):
                stack.push_async_callback(_cancelled, asyncio.create_task(work))
            bound, bound_port = runner.addresses[0][:2]
            shown = f"[{bound}]" if ":" in bound else bound
            self.url = f"http{'s' if self._context else ''}://{shown}:{bound_port}/"
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening."""
        await self._stack.aclose()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._guarded])
        app.add_routes(
            [
                web.get("/", self._file),
                web.get("/{name:[a-z-]+\\.(?:css|js|svg)}", self._file),
                web.get("/api/fleet", self._fleet),
                web.get("/api/events", self._events),
                web.get("/api/clusters/{name}", self._cluster),
                web.get("/healthz", self._alive),
                web.get("/readyz", self._ready),
                web.get("/metrics", self._metrics),
            ]
        )
        app.on_response_prepare.append(_say_headers)
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "none"
        try:
            self._gate.check(request)
            answer = await handler(request)
        except web.HTTPException as error:
            telemetry.REQUESTS.labels(route, str(error.status)).inc()
            raise
        telemetry.REQUESTS.labels(route, str(answer.status)).inc()
        return answer

    async def _file(self, request: web.Request) -> web.StreamResponse:
        file = self._files.get(request.match_info.get("name", "index.html"))
        if file is None:
            raise web.HTTPNotFound(text="the page has no such file\n")
        headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == file.tag:
            return web.Response(status=304, headers=headers)
        return _packed(request, file.body, file.content_type, headers, packed=file.packed)

    async def _fleet(self, request: web.Request) -> web.StreamResponse:
        body = self._feed.batch().json
        packed = await asyncio.to_thread(gzip.compress, body, 1) if _takes_gzip(request) else None
        return _packed(request, body, "application/json", _UNTOLD, packed=packed)

    async def _cluster(self, request: web.Request) -> web.StreamResponse:
        found = self._panel(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound(text="no such cluster is known\n")
        body = orjson.dumps(found)
        packed = gzip.compress(body, 1) if len(body) > _WORTH_PACKING_BYTES and _takes_gzip(request) else None
        return _packed(request, body, "application/json", _UNTOLD, packed=packed)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Tell a browser what changed since the version it names, until it goes."""
        if self.browsers >= self._config.browsers:
            telemetry.REFUSED.labels("browsers").inc()
            raise web.HTTPServiceUnavailable(text="as many browsers look as may\n", headers=_RETRY)
        known = request.headers.get("Last-Event-ID") or request.query.get("since", "")
        epoch, _, version = known.rpartition("-")
        response = web.StreamResponse(headers=_EVENT_STREAM)
        self.browsers += 1
        try:
            with telemetry.BROWSERS.track_inprogress():
                await response.prepare(request)
                async for batch in self._feed.follow(epoch, int(version) if version.isdecimal() else 0):
                    await self._send(response, batch)
        except TimeoutError:
            telemetry.REFUSED.labels("slow").inc()
            if request.transport:
                request.transport.abort()
        except ConnectionResetError:
            pass  # it is gone, which is how a stream ends
        finally:
            self.browsers -= 1
        return response

    async def _send(self, response: web.StreamResponse, batch: Batch) -> None:
        """Write a batch. Until the browser took it no other is made for it.

        Raises:
            TimeoutError: it took none of it for too long.

        """
        async with asyncio.timeout(self._config.write_seconds):
            await response.write(batch.event)
        telemetry.BATCHES.inc()
        telemetry.BYTES.inc(len(batch.json))

    async def _alive(self, _: web.Request) -> web.StreamResponse:
        return web.Response(text="ok")

    async def _ready(self, _: web.Request) -> web.StreamResponse:
        reading = self._model.reading
        if reading.phase == "live":
            return web.Response(text="ok")
        why = "Kafka does not answer" if reading.phase == "lost" else f"{reading.left} records are still to be read"
        return web.Response(status=503, text=why)

    async def _metrics(self, _: web.Request) -> web.StreamResponse:
        telemetry.CLUSTERS.set(len(self._model.fleet.clusters))
        telemetry.UNREADABLE.set(self._model.fleet.unreadable)
        telemetry.NEWEST_FACT.set(self._model.fleet.newest_ms / 1000)
        telemetry.KAFKA_ANSWERS.set(self._model.reading.phase != "lost")
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST, **_UNTOLD})

    async def _reload(self) -> None:
        """Read certificates and secrets again now and then, since they are renewed in place."""
        while True:
            await asyncio.sleep(_RELOAD_SECONDS)
            try:
                self._gate = await asyncio.to_thread(Gate.read, self._config)
                if self._context and self._config.tls:
                    self._config.tls.load_into(self._context)
            except ConfigurationError as error:
                log.error("what was read before stays in force: %s", error)  # noqa: TRY400  the message says it all


def page() -> dict[str, File]:
    """Return the files of the page by name."""
    found = {}
    for entry in resources.files("sinks.web").joinpath("static").iterdir():
        content_type = _TYPES.get(f".{entry.name.rpartition('.')[2]}")
        if content_type:
            body = entry.read_bytes()
            tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            found[entry.name] = File(content_type, body, gzip.compress(body, 9, mtime=0), tag)
    return found


def _packed(
    request: web.Request, body: bytes, content_type: str, headers: dict[str, str], *, packed: bytes | None
) -> web.Response:
    """Return an answer, packed where the browser takes that and it was."""
    if packed is None or not _takes_gzip(request):
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)
    also = {**headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return web.Response(body=packed, content_type=content_type, charset="utf-8", headers=also)


def _takes_gzip(request: web.Request) -> bool:
    return "gzip" in request.headers.get("Accept-Encoding", "")


async def _say_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

"""Listening: the HTTP server, the plain TCP ones beside it, their health, and their end."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

from aiohttp import web

from abdrift.clock import ClockMs, wall_clock_ms
from abdrift.configuration import ConfigurationError
from abdrift.listening import host_and_port
from collectors.receiving import telemetry
from collectors.receiving.clients import Clients
from collectors.receiving.config import ReceiverConfig
from collectors.receiving.gate import Gate
from collectors.receiving.handlers import Handler, HttpHandler, StreamHandler
from collectors.receiving.requests import HEALTH_PATHS, Requests
from collectors.receiving.streams import StreamServer

log = logging.getLogger(__name__)

_PROBE_SECONDS = 5.0
_ANSWER_AGE_SECONDS = 3 * _PROBE_SECONDS
"""For so long an answer of Kafka counts as ready."""
_RELOAD_SECONDS = 30.0


class Receiver:
    """Listens while inside `async with`. Leaving it drains what is under way, in bounded time."""

    def __init__(
        self,
        config: ReceiverConfig,
        handlers: Sequence[Handler],
        kafka_answers: Callable[[], Awaitable[bool]],
        *,
        clock: ClockMs = wall_clock_ms,
    ) -> None:
        """`kafka_answers` asks Kafka something; it may take long, or raise, which is no answer.

        Raises:
            ConfigurationError: a secret or a certificate cannot be used, or two handlers have one path.

        """
        self._config = config
        self._gate = Gate(config, Clients.read(config.clients))
        self._context = config.tls.context() if config.tls else None
        self._kafka_answers = kafka_answers
        self._answered_seconds = float("-inf")
        http = [handler for handler in handlers if not isinstance(handler, StreamHandler)]
        self._requests = Requests(self._gate, _by_path(http), clock, self._unready)
        self._streams = [
            StreamServer(self._gate, handler, self._context)
            for handler in handlers
            if isinstance(handler, StreamHandler)
        ]
        self._sites: list[web.TCPSite] = []
        self._stack = contextlib.AsyncExitStack()
        self.address = ("", 0)
        """Where the HTTP side listens, once it does."""

    @property
    def stream_addresses(self) -> dict[str, tuple[str, int]]:
        """Where the plain TCP protocols listen, by handler."""
        return {stream.name: stream.address for stream in self._streams}

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: an address cannot be had.

        """
        async with contextlib.AsyncExitStack() as stack:
            for work in (self._probe(), self._reload()):
                stack.push_async_callback(_cancelled, asyncio.create_task(work))
            await self._listen(stack)
            for stream in self._streams:
                await stack.enter_async_context(stream)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop accepting, let what is under way end, answer the rest with 503, and close."""
        for site in self._sites:
            await site.stop()
        for stream in self._streams:
            stream.close()
        self._gate.draining.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.limits.drain_seconds):
                await asyncio.gather(self._gate.until_idle(), *(stream.drained() for stream in self._streams))
        self._gate.cut_short()
        await self._stack.aclose()

    async def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        # A server below aiohttp's router: there are but few exact paths, and each request is worth a millisecond.
        server = web.Server(
            self._requests.answer,
            access_log=None,
            # Unpacking is for the handlers, within a size.
            auto_decompress=False,
            keepalive_timeout=self._config.limits.idle_seconds,
        )
        runner = web.ServerRunner(server, shutdown_timeout=1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        host, port = host_and_port(self._config.listen)
        site = web.TCPSite(runner, host, port, ssl_context=self._context)
        await site.start()
        self._sites.append(site)
        self.address = runner.addresses[0][:2]

    def _unready(self) -> str:
        if self._gate.draining.is_set():
            return "this receiver is about to end"
        age_seconds = asyncio.get_running_loop().time() - self._answered_seconds
        return "Kafka does not answer" if age_seconds > _ANSWER_AGE_SECONDS else ""

    async def _probe(self) -> None:
        """Ask Kafka now and then."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    answered = await self._kafka_answers()
            except Exception as error:  # noqa: BLE001  whatever the client raises is no answer, which /readyz tells
                log.warning("Kafka does not answer: %r", error)
                answered = False
            if answered:
                self._answered_seconds = loop.time()
            await asyncio.sleep(_PROBE_SECONDS)

    async def _reload(self) -> None:
        """Read certificates and secrets again now and then, since they are renewed in place."""
        while True:
            await asyncio.sleep(_RELOAD_SECONDS)
            try:
                self._gate.clients = await asyncio.to_thread(Clients.read, self._config.clients)
                if self._context and self._config.tls:
                    self._config.tls.load_into(self._context)
            except ConfigurationError as error:
                telemetry.RELOADS.labels("failed").inc()
                log.error("what was read before stays in force: %s", error)  # noqa: TRY400  the message says it all
            else:
                telemetry.RELOADS.labels("read").inc()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _by_path(handlers: Sequence[HttpHandler]) -> dict[str, HttpHandler]:
    found: dict[str, HttpHandler] = {}
    for handler in handlers:
        for path in handler.paths:
            if path in found or path in HEALTH_PATHS:
                raise ConfigurationError(f"handlers.{handler.name}: the path {path} is taken already")
            found[path] = handler
    return found

"""Plain TCP protocols under the same TLS, clients and limits as requests."""

import asyncio
import contextlib
import functools
import logging
import ssl
from typing import Self

from abdrift.listening import host_and_port
from collectors.receiving import telemetry, tls
from collectors.receiving.clients import Client
from collectors.receiving.gate import Gate, draining
from collectors.receiving.handlers import AuthKind, Connection, RefusedError, StreamHandler

log = logging.getLogger(__name__)


class StreamServer:
    """Accepts the connections of one protocol. Use as an async context manager; leaving it cuts what is left."""

    def __init__(self, gate: Gate, handler: StreamHandler, context: ssl.SSLContext | None) -> None:
        self._gate = gate
        self._handler = handler
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.address = ("", 0)
        """Where it listens, once it does."""

    @property
    def name(self) -> str:
        """The handler's."""
        return self._handler.name

    async def __aenter__(self) -> Self:
        host, port = host_and_port(self._handler.listen)
        self._server = await asyncio.start_server(
            self._accepted, host, port, ssl=self._context, ssl_handshake_timeout=10 if self._context else None
        )
        self.address = self._server.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def close(self) -> None:
        """Accept no more."""
        if self._server:
            self._server.close()

    async def drained(self) -> None:
        """Wait until every connection has ended."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name=f"{self._handler.name} connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = self._handler.name
        try:
            with telemetry.UNDER_WAY.labels(name).track_inprogress():
                connection = self._connection(reader, writer)
                await self._handler.serve(connection)
        except RefusedError as error:
            telemetry.REFUSED.labels(name, error.reason).inc()
            log.info("%s: connection refused: %s", name, error)
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            telemetry.REFUSED.labels(name, "cut-short").inc()
        except Exception:
            # A handler's mistake must not end its neighbours; it is logged whole and counted.
            telemetry.REFUSED.labels(name, "error").inc()
            log.exception("%s: a connection failed", name)
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Connection:
        if self._gate.draining.is_set():
            raise draining()
        if len(self._tasks) > self._gate.config.limits.connections:
            raise RefusedError(503, "busy", "too many connections")
        client = self._client(writer)
        if client is None:
            raise RefusedError(401, "unauthenticated", "no client is proven by this connection")
        if not client.may_use(self._handler.name):
            raise RefusedError(403, "not-allowed", f"client {client.name} may not use it")
        return Connection(
            client=client,
            reader=reader,
            writer=writer,
            draining=self._gate.draining,
            paced=functools.partial(self._paced, client),
        )

    async def _paced(self, client: Client, size_bytes: int) -> None:
        telemetry.BYTES.labels(self._handler.name).inc(size_bytes)
        await self._gate.paced(client, size_bytes)

    def _client(self, writer: asyncio.StreamWriter) -> Client | None:
        clients, found = self._gate.clients, None
        if AuthKind.COMMON_NAME in self._handler.auth:
            found = clients.by_common_name(tls.common_name(writer.get_extra_info("peercert")))
        if found is None and AuthKind.ADDRESS in self._handler.auth:
            found = clients.by_address((writer.get_extra_info("peername") or ("",))[0])
        return found

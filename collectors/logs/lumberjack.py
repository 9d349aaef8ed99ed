"""Log events by the Lumberjack protocol: Filebeat, Elastic Agent, and Logstash's own lumberjack output.

A window is acknowledged once Kafka has it, in parts where it is large. While Kafka is slow, an acknowledgement of 0
every few seconds keeps the sender from giving up, as Logstash's beats input does. The protocol has no word for an event
that can't be read: it becomes a dead letter, and is acknowledged once Kafka has that.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

from pydantic import Field

from abdrift.listening import Address
from collectors.framing import NotDeliveredError
from collectors.logs import beats, intake
from collectors.logs.beats import Batch, Decoder, Event, FrameLimits, ProtocolError
from collectors.logs.events import EventsConfig, Origin, Reader
from collectors.logs.intake import Result
from collectors.receiving import AuthKind, Connection, RefusedError, Wiring, builder

_READ_BYTES: Final = 64 * 1024
_LARGE_BYTES: Final = 1024 * 1024
_LARGE_AT_ONCE: Final = 8
"""So many connections at a time may be within an event larger than `_LARGE_BYTES`; others wait with theirs."""
_SENDER: Final = "beats"
_OUTPUT_OF_LOGSTASH: Final = {"line"}
"""The one name in an event of Logstash's lumberjack output; its value is what the output's codec wrote."""


class LumberjackConfig(EventsConfig):
    """The section `handlers.lumberjack` of the configuration."""

    listen: Address = Field(default="127.0.0.1:5044", description="HOST:PORT; under `tls` of the whole configuration.")
    frames: FrameLimits = FrameLimits()
    client_connections: int = Field(default=256, ge=1, description="Of one client; `limits.connections` holds for all.")
    keepalive_seconds: float = Field(default=5, gt=0, description="Between acknowledgements of 0 while Kafka is slow.")
    read_seconds: float = Field(default=30, gt=0, description="For the next bytes of a window that has begun.")
    write_seconds: float = Field(default=30, gt=0, description="For the sender to take an acknowledgement.")


class LumberjackHandler:
    """Serves connections of the protocol, each a window after another."""

    auth = frozenset({AuthKind.COMMON_NAME, AuthKind.ADDRESS})

    def __init__(self, config: LumberjackConfig, wiring: Wiring) -> None:
        """Raise ConfigurationError where the masking key can't be used."""
        self.name = wiring.name
        self.listen = config.listen
        self._config = config
        self._wiring = wiring
        self._reader = Reader(config, wiring.source)
        self._connections: Counter[str] = Counter()
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def serve(self, connection: Connection) -> None:
        """Serve a connection until the sender closes it, is idle for too long, or the receiver ends.

        Raises:
            RefusedError: what came is no Lumberjack, or Kafka refuses it.
            TimeoutError: a window did not come to its end.

        """
        client = connection.client.name
        if self._connections[client] >= self._config.client_connections:
            raise RefusedError(429, "connections", f"client {client} has {self._connections[client]} connections open")
        self._connections[client] += 1
        try:
            await self._served(connection)
        finally:
            self._connections[client] -= 1

    async def _served(self, connection: Connection) -> None:
        decoder = Decoder(self._config.frames)
        async with contextlib.AsyncExitStack() as large:
            is_large = False
            while data := await self._next(connection, decoder):
                await connection.paced(len(data))
                try:
                    for batch in decoder.feed(data):
                        await self._take(connection, batch)
                except ProtocolError as error:
                    raise RefusedError(400, error.reason, str(error)) from error
                was_large, is_large = is_large, decoder.held_bytes > _LARGE_BYTES
                if is_large and not was_large:
                    await large.enter_async_context(self._large)
                elif was_large and not is_large:
                    await large.aclose()

    async def _next(self, connection: Connection, decoder: Decoder) -> bytes:
        """Return the next bytes; none once the connection should end."""
        is_between = decoder.is_between_windows
        seconds = self._wiring.limits.idle_seconds if is_between else self._config.read_seconds
        reading = asyncio.ensure_future(connection.reader.read(_READ_BYTES))
        draining = asyncio.ensure_future(connection.draining.wait())
        try:
            await asyncio.wait((reading, draining), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                return reading.result()
            if is_between or draining.done():
                return b""
            raise TimeoutError(f"nothing came for {seconds:g} s within a window")
        finally:
            for task in (reading, draining):
                task.cancel()

    async def _take(self, connection: Connection, batch: Batch) -> None:
        """Deliver a batch and acknowledge it."""
        delivering = asyncio.create_task(self._deliver(connection, batch))
        speaks_of_parts = batch.version >= beats.PARTIAL_SINCE
        try:
            while not (await asyncio.wait((delivering,), timeout=self._config.keepalive_seconds))[0]:
                # Version 1's client takes the first acknowledgement for its window's.
                if speaks_of_parts:
                    await self._acknowledge(connection, batch.version, 0)
                elif connection.writer.is_closing():
                    raise ConnectionResetError("the sender is gone")
            await delivering
        finally:
            delivering.cancel()
        if batch.ends_window or speaks_of_parts:
            await self._acknowledge(connection, batch.version, batch.sequence)

    async def _deliver(self, connection: Connection, batch: Batch) -> None:
        origin = Origin(connection.client.cluster_of, self._wiring.clock(), _SENDER)
        size_bytes = sum(map(len, batch.events))
        found = await intake.aside(lambda: self._read(batch.events, origin), size_bytes)
        try:
            await intake.deliver(self._wiring, found)
        except NotDeliveredError as error:
            raise RefusedError(503, "not-delivered", str(error)) from error

    def _read(self, events: list[Event], origin: Origin) -> Iterator[Result]:
        for event in events:
            if isinstance(event, bytes):
                yield self._reader.read_json(event, origin)
            elif event.keys() == _OUTPUT_OF_LOGSTASH:
                line = event["line"]
                is_object = line.lstrip().startswith("{")
                yield (
                    self._reader.read_json(line.encode(), origin)
                    if is_object
                    else self._reader.read({"message": line}, origin)
                )
            else:
                yield self._reader.read(event, origin)

    async def _acknowledge(self, connection: Connection, version: int, sequence: int) -> None:
        connection.writer.write(beats.acknowledgement(version, sequence))
        async with asyncio.timeout(self._config.write_seconds):
            await connection.writer.drain()


build = builder(LumberjackConfig, LumberjackHandler)

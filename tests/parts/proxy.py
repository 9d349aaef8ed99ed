"""A way to cut connections in the middle and leave both ends alive: bytes are passed on, until they aren't."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Self

from tests.parts.loopback import HOST

CHUNK_BYTES = 65_536
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing sends RST rather than FIN."""


class Proxy:
    """Passes TCP connections on to a port of this machine. `async with` it in the event loop that it lives in."""

    def __init__(self, port: int) -> None:
        self._to_port = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.connections = 0
        """Taken so far."""
        self.passed_bytes = 0
        """Both ways, so far."""

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None, "only while it is entered"
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._taken, HOST, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None, "it was entered"
        self._server.close()
        self.reset()

    def reset(self) -> int:
        """Break every connection there is, as a failing network does, and return how many there were."""
        broken = len(self._open)
        for writer in self._open:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()
        return broken

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            there_reader, there_writer = await asyncio.open_connection(HOST, self._to_port)
            await asyncio.gather(self._pass_on(reader, there_writer), self._pass_on(there_reader, writer))
        except OSError:
            writer.transport.abort()  # nobody listens there: this end is to know at once
        finally:
            self._open.discard(writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on until either end is gone, then end the other."""
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                self.passed_bytes += len(chunk)
                writer.write(chunk)
                await writer.drain()
        writer.close()

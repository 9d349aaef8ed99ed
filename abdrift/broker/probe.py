"""Asks a broker for its metadata over a plain socket: the cheapest proof that it serves."""

import socket
import struct
from typing import Final

from abdrift.broker.ports import HOST

_METADATA: Final = 3
_VERSION: Final = 1
_TIMEOUT_SECONDS: Final = 2.0
_RESPONSE_MIN_BYTES: Final = 8
_RESPONSE_MAX_BYTES: Final = 1024 * 1024


def answers(port: int) -> bool:
    """Tell whether the broker on this loopback port answers, and counts itself among the live brokers."""
    # Header of request version 1 (key, version, correlation id, no client id), and no topics asked for.
    request = struct.pack(">hhihi", _METADATA, _VERSION, 1, -1, 0)
    try:
        with socket.create_connection((HOST, port), timeout=_TIMEOUT_SECONDS) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            (size,) = struct.unpack(">i", _exactly(connection, 4))
            if not _RESPONSE_MIN_BYTES <= size <= _RESPONSE_MAX_BYTES:
                return False
            _correlation_id, brokers = struct.unpack_from(">ii", _exactly(connection, size))
    except OSError:
        return False
    return int(brokers) > 0


def _exactly(connection: socket.socket, size_bytes: int) -> bytes:
    received = b""
    while len(received) < size_bytes:
        chunk = connection.recv(size_bytes - len(received))
        if not chunk:
            raise ConnectionResetError("the broker closed the connection")
        received += chunk
    return received

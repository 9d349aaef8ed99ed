"""Ports of this machine, and a look at what answers on them."""

from __future__ import annotations

import random
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

HOST = "127.0.0.1"
# Below Linux' range for outgoing connections, so that none can take a port while its owner is being restarted.
PORTS = range(20_000, 32_000)
PROBE_TIMEOUT_SECONDS = 2


class Ports:
    """Hands out free ports, each once: neighbours from a random start, so that two runs seldom meet."""

    def __init__(self) -> None:
        start = random.randrange(len(PORTS))
        self._candidates: Iterator[int] = iter([*PORTS[start:], *PORTS[:start]])

    def take(self) -> int:
        """Return a port that nobody listens on now. Raises `RuntimeError` when all were tried."""
        for port in self._candidates:
            with socket.socket() as listener:
                # As servers do: a port whose last connections are only waiting out their time is free.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    listener.bind((HOST, port))
                except OSError:
                    continue
                return port
        raise RuntimeError(f"found no free port of {HOST} in {PORTS.start}-{PORTS.stop - 1}")


def answers(url: str, context: ssl.SSLContext | None = None) -> Callable[[], bool]:
    """Return a check of whether a GET of `url` is answered with 200 now."""
    # The empty ProxyHandler keeps a proxy of the environment out of the way to loopback.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if context is not None:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    opener = urllib.request.build_opener(*handlers)

    def check() -> bool:
        try:
            with opener.open(url, timeout=PROBE_TIMEOUT_SECONDS) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return check

"""Ports of this machine, and a look at what answers on them."""

from __future__ import annotations

import http.client
import random
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

HOST = "127.0.0.1"
# Below Linux' range for outgoing connections, below what `abdrift.broker.ports` chooses from, and none that Abdrift's
# programs listen at by default, so that nobody takes a port while its owner is not started yet, or is being restarted.
PORTS = range(6_700, 8_400)
PROBE_TIMEOUT_SECONDS = 2


class Ports:
    """Hands out free ports, each to one process of this machine, and there once: neighbours from a random start."""

    def __init__(self) -> None:
        start = random.randrange(len(PORTS))
        self._candidates: Iterator[int] = iter([*PORTS[start:], *PORTS[:start]])

    def take(self) -> int:
        """Return a port that nobody listens on now, and that nobody else is given while this process lives.

        Raises `RuntimeError` when all were tried.
        """
        for port in self._candidates:
            if _is_free(port) and _is_reserved(port):
                return port
        raise RuntimeError(f"found no free port of {HOST} in {PORTS.start}-{PORTS.stop - 1}")


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        # As servers do: a port whose last connections are only waiting out their time is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
        return True


def _is_reserved(port: int) -> bool:
    """Reserve a port for this process, and tell whether nobody else had.

    What stands for it is a name of the kernel's, which ends with the process: no file is left behind, and tests that
    run side by side meet at no port that one of them has been given and does not listen on yet.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as name:
        try:
            name.bind(f"\0abdrift-tests-port-{port}")
        except OSError:
            return False
        name.detach()  # left open until the process ends
        return True


def listens(port: int) -> Callable[[], bool]:
    """Return a check of whether a connection to a port is taken now."""

    def check() -> bool:
        try:
            with socket.create_connection((HOST, port), timeout=PROBE_TIMEOUT_SECONDS):
                return True
        except OSError:
            return False

    return check


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
        except (urllib.error.URLError, http.client.HTTPException, OSError):
            return False

    return check

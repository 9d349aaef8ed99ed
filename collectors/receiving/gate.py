"""Who gets in, and how much: clients, their allowances, and what holds for all of them together."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from collectors.receiving.clients import Client, Clients
from collectors.receiving.config import ReceiverConfig
from collectors.receiving.handlers import RefusedError
from collectors.receiving.limits import Allowance

_BUSY_SECONDS = 1


@dataclass(slots=True)
class Gate:
    """What is under way now, and for whom. One for each receiver."""

    config: ReceiverConfig
    clients: Clients
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    _allowances: dict[str, Allowance] = field(default_factory=dict)
    _under_way: int = 0
    _buffered_bytes: int = 0
    _deadlines: set[asyncio.Timeout] = field(default_factory=set)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def allowance(self, client: Client) -> Allowance:
        """Return a client's allowance."""
        if client.name not in self._allowances:
            self._allowances[client.name] = Allowance.of(client.config.rate, _now_seconds())
        return self._allowances[client.name]

    def check_rate(self, client: Client) -> None:
        """Raise `RefusedError` where the client is above its rates.

        With 503: of 429, Prometheus by default and Alertmanager take it that they must not try again.
        """
        wait_seconds = self.allowance(client).wait_seconds(_now_seconds())
        if wait_seconds:
            raise RefusedError(
                503, "rate", "above this client's rate; slow down", {"Retry-After": str(int(wait_seconds) + 1)}
            )

    def charge(self, client: Client, size_bytes: int) -> None:
        """Count a request of a client against its rates."""
        allowance = self.allowance(client)
        allowance.requests.take(1, _now_seconds())
        allowance.size.take(size_bytes, _now_seconds())

    async def paced(self, client: Client, size_bytes: int) -> None:
        """Count what a connection brought, and wait while its client is above its rates."""
        allowance = self.allowance(client)
        allowance.size.take(size_bytes, _now_seconds())
        if wait_seconds := allowance.size.wait_seconds(_now_seconds()):
            await asyncio.sleep(wait_seconds)

    @contextlib.contextmanager
    def admitted(self, client: Client | None, size_bytes: int) -> Iterator[None]:
        """Hold a place, and room for a body, while inside. A client that is not proven yet has no share of its own.

        Raises:
            RefusedError: there is none left, or the client has as many as it may (503).

        """
        limits = self.config.limits
        if self.draining.is_set():
            raise draining()
        if self._under_way >= limits.concurrent_requests or self._buffered_bytes + size_bytes > limits.buffered_bytes:
            raise RefusedError(503, "busy", "too much is under way", {"Retry-After": str(_BUSY_SECONDS)})
        allowance = self.allowance(client) if client else None
        if allowance and allowance.under_way >= allowance.concurrent_requests:
            raise RefusedError(
                503, "concurrent", "too many requests of this client are under way", {"Retry-After": str(_BUSY_SECONDS)}
            )
        self._under_way += 1
        self._buffered_bytes += size_bytes
        if allowance:
            allowance.under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._buffered_bytes -= size_bytes
            if allowance:
                allowance.under_way -= 1
            if not self._under_way:
                self._idle.set()

    @contextlib.asynccontextmanager
    async def in_time(self, seconds: float) -> AsyncIterator[None]:
        """End what is inside with TimeoutError after so long, or when the drain has had its time."""
        async with asyncio.timeout(seconds) as deadline:
            self._deadlines.add(deadline)
            try:
                yield
            finally:
                self._deadlines.discard(deadline)

    def cut_short(self) -> None:
        """End what is under way as if its time were over."""
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(_now_seconds())

    async def until_idle(self) -> None:
        """Wait until no request is under way."""
        while self._under_way:
            self._idle.clear()
            await self._idle.wait()


def draining() -> RefusedError:
    """Return the refusal of what comes, or is not done, at the end."""
    return RefusedError(503, "draining", "this receiver is about to end", {"Connection": "close"})


def _now_seconds() -> float:
    return asyncio.get_running_loop().time()

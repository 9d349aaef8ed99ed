"""What a collector implements to receive, and what it works with."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from abdrift.clock import ClockMs
from collectors.dead_letters import DeadLetters
from collectors.framing import Row, Send
from collectors.receiving import telemetry
from collectors.receiving.clients import Client
from collectors.receiving.config import Limits


class AuthKind(StrEnum):
    """How a sender may prove who it is."""

    AUTHORIZATION = "authorization"
    """A bearer token, or a user name with its password."""
    COMMON_NAME = "common-name"
    """A certificate that `tls.client_ca` signed."""
    SIGNATURE = "signature"
    """`X-Signature: sha256=<hex>` over the body, by the key of the client that the address names (`?client=<name>`)."""
    ADDRESS = "address"
    """Where it comes from, which proves little: for protocols that know nothing else."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request of a client that is known, with its whole body as it was sent."""

    client: Client
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names are found in any case."""
    body: bytes
    received_ms: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender is told."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """A request that is not taken. `reason` is counted, so it comes from a fixed set."""

    def __init__(self, status: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.headers = dict(headers or {})


class HttpHandler(Protocol):
    """Takes the requests of some paths."""

    @property
    def name(self) -> str:
        """The section of the configuration that it has, and its name in metrics."""

    @property
    def paths(self) -> Sequence[str]:
        """Exact paths; no two handlers have one in common."""

    @property
    def methods(self) -> frozenset[str]:
        """In capitals, e.g. POST."""

    @property
    def auth(self) -> frozenset[AuthKind]:
        """How its senders may prove who they are."""

    async def handle(self, request: Received) -> Answer:
        """Answer a request, once Kafka has what it brought.

        Raises:
            RefusedError: the sender is told its status and message.
            NotItsClusterError: it becomes 403.
            NotDeliveredError: it becomes 413 where Kafka refuses rows for good, else 503.

        """


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection of a plain TCP protocol, from a client that is known."""

    client: Client
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    draining: asyncio.Event
    """Set when the receiver ends: acknowledge what was taken, and return."""
    paced: Callable[[int], Awaitable[None]]
    """`await paced(size_bytes)` counts what was read, and waits while the client is above its rates."""


@runtime_checkable
class StreamHandler(Protocol):
    """Serves a plain TCP protocol on a port of its own, under the receiver's TLS, clients and limits."""

    @property
    def name(self) -> str:
        """The section of the configuration that it has, and its name in metrics."""

    @property
    def listen(self) -> str:
        """`HOST:PORT`."""

    @property
    def auth(self) -> frozenset[AuthKind]:
        """COMMON_NAME, ADDRESS or both: these protocols have no other word for it."""

    async def serve(self, connection: Connection) -> None:
        """Serve one connection until it ends; the caller closes it. The handler bounds its own reads in time.

        Raises:
            RefusedError: it is counted by its reason, and the connection closed.

        """


Handler = HttpHandler | StreamHandler


class Delivers(Protocol):
    """Where rows go. `collectors.framing.Framer` is one."""

    async def deliver(self, rows: Sequence[Row], *, urgent: bool = True) -> None:
        """Return once Kafka has acknowledged all rows; raises `NotDeliveredError`."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a handler works with besides its settings."""

    name: str
    """The handler's."""
    source: str
    """The name of its lanes, e.g. `alertmanager/receiver-0`."""
    outlet: Delivers
    letters: DeadLetters
    """For what a sender can't be told of: its protocol has no word for it, or it concerns a few of many."""
    limits: Limits
    clock: ClockMs
    send: Send
    """To Kafka past the framer, for what is a frame already."""
    partitions: int
    """Of topics that are keyed by cluster."""

    def reject(self, reason: str, rows: int = 1) -> None:
        """Count rows that are left out of a request that is otherwise taken; `reason` is from a fixed set."""
        telemetry.REJECTED_ROWS.labels(self.name, reason).inc(rows)

"""A receiver on loopback, and a handler that keeps what it is given."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from collectors.dead_letters import DeadLetters
from collectors.receiving import Answer, AuthKind, Receiver, ReceiverConfig, Wiring
from collectors.receiving.config import Limits
from tests.collectors.recording import RecordingLetters, RecordingTopic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from collectors.lanes import Send
    from collectors.receiving import Handler, Received
    from collectors.receiving.handlers import Delivers

NOW_MS = 1_795_000_000_000
TOKEN = "a-long-random-token"
TOKEN_SHA256 = "b780ec04f0ac941421b556e74f31ff207f799c4ad119ea0178a81054b373b34b"


@dataclass
class Keeping:
    """Keeps its requests, and answers as it is told."""

    name: str = "keeping"
    paths: Sequence[str] = ("/keep",)
    methods: frozenset[str] = frozenset({"POST"})
    auth: frozenset[AuthKind] = frozenset({AuthKind.AUTHORIZATION, AuthKind.COMMON_NAME, AuthKind.SIGNATURE})
    respond: Callable[[Received], Awaitable[Answer]] | None = None
    seen: list[Received] = field(default_factory=list)
    entered: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: Received) -> Answer:
        self.seen.append(request)
        self.entered.set()
        return await self.respond(request) if self.respond else Answer(204)


def config(**changes: Any) -> ReceiverConfig:
    """A configuration for one client with a token, for one handler; `limits` and `client` change parts of it."""
    client = {"name": "one", "cluster": "edge-0001", "bearer_sha256": TOKEN_SHA256, **changes.pop("client", {})}
    client = {name: value for name, value in client.items() if value is not None}
    given = {"listen": "127.0.0.1:0", "clients": [client], "handlers": {"keeping": {}}, **changes}
    return ReceiverConfig.model_validate(given)


async def kafka_answers() -> bool:
    return True


@contextlib.asynccontextmanager
async def receiving(
    settings: ReceiverConfig, *handlers: Handler, answers: Callable[[], Awaitable[bool]] = kafka_answers
) -> AsyncIterator[tuple[Receiver, aiohttp.ClientSession]]:
    """Run a receiver and a client whose base is its address."""
    receiver = Receiver(settings, handlers, answers)
    async with receiver:
        scheme = "https" if settings.tls else "http"
        async with aiohttp.ClientSession(f"{scheme}://127.0.0.1:{receiver.address[1]}") as client:
            yield receiver, client


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def wiring(
    name: str, outlet: Delivers, letters: Send | None = None, *, send: Send | None = None, partitions: int = 1
) -> Wiring:
    """What a handler works with: rows go to `outlet`, dead letters to `letters`, frames to `send`."""
    dead = DeadLetters(letters or RecordingLetters(), 1, f"collectors.{name}", lambda: NOW_MS)
    frames = send or RecordingTopic()
    return Wiring(name, f"{name}/test", outlet, dead, Limits(), lambda: NOW_MS, frames, partitions)

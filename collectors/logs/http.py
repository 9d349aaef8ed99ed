"""Log events by HTTP: what Logstash's, Vector's and Fluent Bit's HTTP outputs post."""

import asyncio
from typing import Final

import orjson
from pydantic import Field

from collectors.logs import intake
from collectors.logs.events import EventsConfig, Origin, Reader
from collectors.logs.intake import Parsed, Room
from collectors.receiving import Answer, AuthKind, Received, RefusedError, UrlPath, Wiring, builder
from collectors.receiving.bodies import unpacked

_STATUSES: Final = {"too-large": 413, "no-cluster": 403, "not-its-cluster": 403}
"""Where nothing of a body can be used; 400 for all other reasons. Senders give up at any of them."""
_SENDERS: Final = (
    ("fluent-bit", "fluent-bit"),
    ("vector", "vector"),
    ("manticore", "logstash"),
    ("logstash", "logstash"),
    ("filebeat", "filebeat"),
)
"""By what a User-Agent begins with; Logstash's client calls itself Manticore."""
_ROOM_BODIES: Final = 4
"""So many bodies of the largest size may be under way, unpacked; smaller ones accordingly more."""


class HttpConfig(EventsConfig):
    """The section `handlers.logs` of the configuration."""

    paths: tuple[UrlPath, ...] = Field(default=("/logs",), min_length=1)
    decoded_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=1024,
        description="The largest body once it is unpacked; above `limits` it has no effect.",
    )


class LogsHandler:
    """Takes bodies of events. What can be read of a body is taken, and the rest becomes dead letters."""

    methods = frozenset({"POST", "PUT"})
    auth = frozenset({AuthKind.AUTHORIZATION, AuthKind.COMMON_NAME})

    def __init__(self, config: HttpConfig, wiring: Wiring) -> None:
        """Raise ConfigurationError where the masking key can't be used."""
        self.name = wiring.name
        self.paths = config.paths
        self._wiring = wiring
        self._reader = Reader(config, wiring.source)
        self._limit_bytes = min(config.decoded_bytes, wiring.limits.decoded_bytes)
        self._room = Room(_ROOM_BODIES * self._limit_bytes)

    async def handle(self, request: Received) -> Answer:
        """Answer once Kafka has what could be read; refuse a body of which nothing could."""
        encoding = request.headers.get("Content-Encoding", "")
        # How large a packed body is shows only when it is unpacked.
        async with self._room.taken(self._limit_bytes if encoding else len(request.body)):
            return await self._taken(request, encoding)

    async def _taken(self, request: Received, encoding: str) -> Answer:
        found = await self._read(request, encoding)
        if found.refused and not found.rows:
            worst = found.refused[0]
            raise RefusedError(_STATUSES.get(worst.reason, 400), worst.reason, worst.message)
        rejected = await intake.deliver(self._wiring, found)
        return Answer(200, orjson.dumps({"accepted": len(found.rows), "rejected": rejected}), "application/json")

    async def _read(self, request: Received, encoding: str) -> Parsed:
        limit = self._limit_bytes
        body = await asyncio.to_thread(unpacked, request.body, encoding, limit) if encoding else request.body
        if len(body) > limit:
            raise RefusedError(413, "too-large", f"the body is larger than {limit} bytes")
        origin = Origin(request.client.cluster_of, request.received_ms, _sender(request.headers.get("User-Agent", "")))
        return await intake.aside(lambda: intake.read_body(self._reader, body, origin), len(body))


build = builder(HttpConfig, LogsHandler)


def _sender(user_agent: str) -> str:
    lower = user_agent.lower()
    return next((name for prefix, name in _SENDERS if lower.startswith(prefix)), "http")

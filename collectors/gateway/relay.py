"""The gateway's end: takes frames by HTTPS and puts them into Kafka as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from abdrift import frames, topics
from abdrift.partitions import partition_of
from collectors.gateway.protocol import FRAME_TYPE, PATH, Welcome
from collectors.lanes import UnsendableError
from collectors.receiving import Answer, AuthKind, NotItsClusterError, Received, RefusedError, Wiring, parsed
from collectors.spool.segments import SpooledFrame

TOPICS = frozenset(topic.name for topic in (topics.OBJECTS, topics.EVENTS, topics.SAMPLES, topics.LOGS, topics.ALERTS))


class RelayConfig(BaseModel):
    """What a user sets for the gateway."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(default=PATH, pattern="^/")


def build(settings: Mapping[str, Any], wiring: Wiring) -> "Relay":
    """Return the handler.

    Raises:
        ConfigurationError: the settings are none.

    """
    return Relay(parsed(RelayConfig, wiring.name, settings), wiring)


@dataclass(frozen=True, slots=True)
class Relay:
    """An `HttpHandler`: GET tells how to place frames, POST takes one."""

    config: RelayConfig
    wiring: Wiring
    methods: frozenset[str] = frozenset({"GET", "POST"})
    auth: frozenset[AuthKind] = frozenset({AuthKind.AUTHORIZATION, AuthKind.COMMON_NAME})

    @property
    def name(self) -> str:
        """As configured."""
        return self.wiring.name

    @property
    def paths(self) -> Sequence[str]:
        """One path."""
        return (self.config.path,)

    async def handle(self, request: Received) -> Answer:
        """Answer an agent.

        Raises:
            RefusedError: it is no frame of a signal, or in the wrong place (400, 413), or Kafka can't be reached (503).
            NotItsClusterError: the client does not speak for a cluster in it.

        """
        if request.method == "GET":
            welcome = msgspec.json.encode(Welcome(self.wiring.partitions))
            return Answer(body=welcome, content_type="application/json")
        frame = self._checked(request)
        try:
            await self.wiring.send(frame.topic, frame.partition, frame.key, frame.value, frame.headers)
        except UnsendableError as error:
            raise RefusedError(413, "too-large", str(error)) from error
        return Answer(status=204)

    def _checked(self, request: Received) -> SpooledFrame:
        if request.headers.get("Content-Type") != FRAME_TYPE:
            raise RefusedError(415, "content-type", f"send one {FRAME_TYPE}")
        try:
            frame = msgspec.msgpack.decode(request.body, type=SpooledFrame)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise RefusedError(400, "malformed", f"no frame: {error}") from error
        if frame.topic not in TOPICS:
            raise RefusedError(400, "topic", f"{frame.topic[:64]!r} is no topic of signals")
        try:
            clusters = frames.decode(frame.value, frame.headers, ["cluster"]).batch.column(0).unique().to_pylist()
        except frames.BadFrame as error:
            raise RefusedError(400, error.reason, str(error)) from error
        for cluster in clusters:
            if request.client.cluster_of(cluster) != cluster:
                raise NotItsClusterError(f"client {request.client.name} does not speak for cluster {cluster!r}")
            if partition_of(cluster, self.wiring.partitions) != frame.partition:
                raise RefusedError(400, "partition", f"cluster {cluster!r} is not of partition {frame.partition}")
        return frame

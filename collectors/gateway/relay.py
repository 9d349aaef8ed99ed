"""The gateway's end: takes frames by HTTPS and puts them into Kafka as they are."""

import msgspec

from abdrift import frames, topics
from abdrift.partitions import partition_of
from collectors.gateway.protocol import FRAME_TYPE, PATH, Welcome
from collectors.lanes import UnsendableError
from collectors.receiving import (
    Answer,
    Endpoint,
    EndpointConfig,
    NotItsClusterError,
    Received,
    RefusedError,
    UrlPath,
    builder,
)
from collectors.spool.segments import SpooledFrame

TOPICS = frozenset(topic.name for topic in (topics.OBJECTS, topics.EVENTS, topics.SAMPLES, topics.LOGS, topics.ALERTS))


class RelayConfig(EndpointConfig):
    """What a user sets for the gateway."""

    path: UrlPath = PATH


class Relay(Endpoint[RelayConfig]):
    """An `HttpHandler`: GET tells how to place frames, POST takes one."""

    methods = frozenset({"GET", "POST"})

    async def handle(self, request: Received) -> Answer:
        """Answer an agent.

        Raises:
            RefusedError: it is no frame of a signal, or in the wrong place (400, 413), or Kafka can't be reached (503).
            NotItsClusterError: the client does not speak for a cluster in it.

        """
        if request.method == "GET":
            welcome = msgspec.json.encode(Welcome(self._wiring.partitions))
            return Answer(body=welcome, content_type="application/json")
        frame = self._checked(request)
        try:
            await self._wiring.send(frame.topic, frame.partition, frame.key, frame.value, frame.headers)
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
            if partition_of(cluster, self._wiring.partitions) != frame.partition:
                raise RefusedError(400, "partition", f"cluster {cluster!r} is not of partition {frame.partition}")
        return frame


build = builder(RelayConfig, Relay)

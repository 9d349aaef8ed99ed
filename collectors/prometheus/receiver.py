"""Remote write as `abdrift receive` serves it: negotiation, decoding, delivery, and the answer.

Sources: https://prometheus.io/docs/specs/prw/remote_write_spec/ and remote_write_spec_2_0/.

A sender tries again after 5xx, and never after 4xx, with 429 as its settings say. So what can't be taken whoever sends
it again is 400, 413 or 415, and what Kafka has not acknowledged yet is 503. Samples that are good are taken though
others of their request are not: the answer is then 400, and in protocol 2.0 its headers count what was written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Final

import numpy as np
from pydantic import Field

from collectors import telemetry
from collectors.blocks import SampleBlock, size_of
from collectors.prometheus import snappy, write_v1, write_v2
from collectors.prometheus.cardinality import SeriesLimits
from collectors.prometheus.catalogue import Catalogue, ClusterOf
from collectors.prometheus.labels import SeriesRefusedError
from collectors.prometheus.protobuf import MalformedError
from collectors.prometheus.relabelling import Rule, Rules
from collectors.prometheus.samples import Decoded, Flags
from collectors.prometheus.telemetry import Offenders
from collectors.receiving import (
    Answer,
    Client,
    Endpoint,
    EndpointConfig,
    NotItsClusterError,
    Received,
    RefusedError,
    UrlPath,
    Wiring,
    builder,
)

_MEDIA_TYPE: Final = "application/x-protobuf"
_VERSION: Final = "X-Prometheus-Remote-Write-Version"
_WRITTEN: Final = "X-Prometheus-Remote-Write-{}-Written"

Decode = Callable[[bytes, str, Catalogue, ClusterOf, int], Decoded]
_DECODERS: Final[Mapping[str, tuple[str, Decode]]] = {
    "prometheus.writerequest": (write_v1.VERSION, write_v1.decode),
    "io.prometheus.write.v2.request": (write_v2.VERSION, write_v2.decode),
}
_BEFORE_NEGOTIATION: Final = "prometheus.writerequest"
"""What a request brings that names no message, as every sender did before there were two."""


class RemoteWriteConfig(EndpointConfig):
    """What a user sets for the receiver of remote write."""

    path: UrlPath = "/api/v1/write"
    cluster_label: str = Field(default="cluster", description="Names the cluster where a client speaks for several.")
    metric_relabel_configs: tuple[Rule, ...] = Field(default=(), description="Prometheus's own, for each series.")
    max_samples: int = Field(default=20_000, ge=1, description="Of one request; Prometheus sends 2,000 by default.")
    max_future_seconds: float = Field(default=600, gt=0, description="Later samples are refused.")
    max_past_seconds: float = Field(default=7 * 24 * 3600, gt=0, description="Older samples are refused.")
    series: SeriesLimits = SeriesLimits()


class RemoteWrite(Endpoint[RemoteWriteConfig]):
    """Takes remote write of both protocols."""

    def __init__(self, config: RemoteWriteConfig, wiring: Wiring) -> None:
        super().__init__(config, wiring)
        self._catalogue = Catalogue(
            config.series, Rules(config.metric_relabel_configs), config.cluster_label, told=Offenders()
        )

    async def handle(self, request: Received) -> Answer:
        """Answer 204 once Kafka has all samples, 400 once it has those that can be taken.

        Raises:
            RefusedError: nothing of the request is taken, and why.
            NotDeliveredError: Kafka does not take it.

        """
        version, decode = _decoder(request.headers)
        self._catalogue.turn(request.received_ms)
        decoded = self._decoded(request, decode)
        in_time = self._in_time(decoded, request.received_ms)
        if np.any(in_time):
            block = SampleBlock(
                cluster="",
                table=self._catalogue.table,
                series=decoded.series,
                values=decoded.values,
                times_ms=decoded.times_ms,
                observed_ms=request.received_ms,
                size_bytes=size_of(len(in_time), decoded.text_bytes),
                histograms=decoded.histograms,
            )
            await self._wiring.outlet.deliver(block.chosen(np.flatnonzero(in_time)).by_cluster())
        self._count(decoded)
        return _answer(decoded, in_time, version)

    def _decoded(self, request: Received, decode: Decode) -> Decoded:
        try:
            raw = snappy.decompressed(request.body, self._wiring.limits.decoded_bytes)
            return decode(
                raw, request.client.name, self._catalogue, _ClusterOf(request.client), self._config.max_samples
            )
        except snappy.TooLargeError as error:
            raise RefusedError(413, "too-large", str(error)) from error
        except MalformedError as error:
            raise RefusedError(400, "malformed", str(error)) from error

    def _in_time(self, decoded: Decoded, now_ms: int) -> Flags:
        """Return which samples are of a time that can be, and note the others as refused."""
        earliest_ms = now_ms - self._config.max_past_seconds * 1_000
        latest_ms = now_ms + self._config.max_future_seconds * 1_000
        in_time: Flags = (decoded.times_ms >= earliest_ms) & (decoded.times_ms <= latest_ms)
        if outside := int(np.count_nonzero(~in_time)):
            first = int(decoded.times_ms[~in_time][0])
            decoded.refusals.add(
                "time",
                f"out of bounds: {outside} samples, the first of {first} ms, where it is {now_ms} ms here and "
                f"{int(earliest_ms)} to {int(latest_ms)} is taken: set the sender's clock",
                outside,
            )
        return in_time

    def _count(self, decoded: Decoded) -> None:
        for reason, rows in decoded.refusals.reasons.items():
            self._wiring.reject(reason, rows)
        for reason, rows in decoded.suppressed.items():
            telemetry.SUPPRESSED.labels(self._wiring.source, reason).inc(rows)


build = builder(RemoteWriteConfig, RemoteWrite)


@dataclass(frozen=True, slots=True)
class _ClusterOf:
    """Asks a client which cluster a series is of."""

    client: Client

    def __call__(self, named: str | None) -> str:
        try:
            return self.client.cluster_of(named)
        except NotItsClusterError as error:
            way_out = "name it in the sender's external_labels, or give the client one cluster in the receiver's file"
            raise SeriesRefusedError("cluster", f"{error}: {way_out}") from error


def _decoder(headers: Mapping[str, str]) -> tuple[str, Decode]:
    """Return the protocol of a request and how it is decoded.

    Raises:
        RefusedError: it is none that is known (415).

    """
    encoding = headers.get("Content-Encoding", "snappy").strip().lower()
    if encoding != "snappy":
        raise RefusedError(415, "encoding", f"Content-Encoding must be snappy, not {encoding[:50]!r}")
    content = Message()
    content["Content-Type"] = headers.get("Content-Type", _MEDIA_TYPE)
    named = content.get_param("proto")
    if content.get_content_type() != _MEDIA_TYPE or not (named is None or isinstance(named, str)):
        raise RefusedError(415, "media-type", f"Content-Type must be {_MEDIA_TYPE}")
    if named is None and headers.get(_VERSION, "0.1.0").startswith("2."):
        # Taken for 1.0, as the specification has it, nothing would be found in it.
        raise RefusedError(415, "media-type", "name the message: application/x-protobuf;proto=...")
    decoder = _DECODERS.get((named or _BEFORE_NEGOTIATION).lower())
    if decoder is None:
        known = "prometheus.WriteRequest and io.prometheus.write.v2.Request"
        raise RefusedError(415, "media-type", f"the message {named[:50] if named else ''!r} is unknown; {known} are")
    return decoder


def _answer(decoded: Decoded, in_time: Flags, version: str) -> Answer:
    headers = {}
    if version == write_v2.VERSION:
        histograms = sum(bool(in_time[at]) for at in decoded.histograms)
        # What the rules drop was dealt with as it should: told otherwise, Prometheus takes it for lost.
        samples = int(np.count_nonzero(in_time)) - histograms + decoded.suppressed["rules"]
        written = {"Samples": samples, "Histograms": histograms, "Exemplars": 0}
        headers = {_WRITTEN.format(kind): str(count) for kind, count in written.items()}
    if decoded.refusals:
        return Answer(400, "\n".join(decoded.refusals.messages).encode(), headers=headers)
    return Answer(204, headers=headers)

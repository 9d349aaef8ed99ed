"""Takes Flux's events by HTTP."""

from pydantic import Field

from collectors.flux import payload
from collectors.receiving import Answer, AuthKind, Endpoint, EndpointConfig, Received, RefusedError, UrlPath, builder
from collectors.receiving.bodies import parsed_json


class FluxConfig(EndpointConfig):
    """What a user sets for Flux's notifications."""

    path: UrlPath = "/flux"
    cluster_key: str = Field(default="cluster", min_length=1, description="Names the cluster in an event's metadata.")
    max_metadata_bytes: int = Field(default=8_192, ge=1, le=8_192, description="Of one event; more is refused.")


class Webhook(Endpoint[FluxConfig]):
    """An `HttpHandler`: one event a request."""

    auth = frozenset({AuthKind.AUTHORIZATION, AuthKind.COMMON_NAME, AuthKind.SIGNATURE})

    async def handle(self, request: Received) -> Answer:
        """Take an event.

        Raises:
            RefusedError: it is none. Flux gives up on a 4xx.
            NotItsClusterError: its cluster is not its client's.
            NotDeliveredError: as `Delivers.deliver`.

        """
        event = parsed_json(request, payload.Event, self._wiring.limits.decoded_bytes)
        cluster = request.client.cluster_of((event.metadata or {}).get(self._config.cluster_key))
        try:
            row = payload.row_of(event, cluster, request.received_ms)
        except payload.BadTimeError as error:
            raise RefusedError(400, "bad-time", str(error)) from error
        if len(row.labels) > self._config.max_metadata_bytes:
            raise RefusedError(
                413, "metadata-too-large", f"the metadata take more than {self._config.max_metadata_bytes} bytes"
            )
        await self._wiring.outlet.deliver([row])
        return Answer()


build = builder(FluxConfig, Webhook)

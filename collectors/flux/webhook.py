"""Takes Flux's events by HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from collectors.flux import payload
from collectors.receiving import Answer, AuthKind, Received, RefusedError, Wiring, parsed
from collectors.receiving.bodies import parsed_json


class FluxConfig(BaseModel):
    """What a user sets for Flux's notifications."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(default="/flux", pattern="^/")
    cluster_key: str = Field(default="cluster", min_length=1, description="Names the cluster in an event's metadata.")
    max_metadata_bytes: int = Field(default=8_192, ge=1, le=8_192, description="Of one event; more is refused.")


def build(settings: Mapping[str, Any], wiring: Wiring) -> "Webhook":
    """Return the handler.

    Raises:
        ConfigurationError: the settings are none.

    """
    return Webhook(parsed(FluxConfig, wiring.name, settings), wiring)


@dataclass(frozen=True, slots=True)
class Webhook:
    """An `HttpHandler`: one event a request."""

    config: FluxConfig
    wiring: Wiring
    methods: frozenset[str] = frozenset({"POST"})
    auth: frozenset[AuthKind] = frozenset({AuthKind.AUTHORIZATION, AuthKind.COMMON_NAME, AuthKind.SIGNATURE})

    @property
    def name(self) -> str:
        """As configured."""
        return self.wiring.name

    @property
    def paths(self) -> Sequence[str]:
        """One path."""
        return (self.config.path,)

    async def handle(self, request: Received) -> Answer:
        """Take an event.

        Raises:
            RefusedError: it is none. Flux gives up on a 4xx.
            NotItsClusterError: its cluster is not its client's.
            NotDeliveredError: as `Delivers.deliver`.

        """
        event = parsed_json(request, payload.Event, self.wiring.limits.decoded_bytes)
        cluster = request.client.cluster_of((event.metadata or {}).get(self.config.cluster_key))
        try:
            row = payload.row_of(event, cluster, request.received_ms)
        except payload.BadTimeError as error:
            raise RefusedError(400, "bad-time", str(error)) from error
        if len(row.labels) > self.config.max_metadata_bytes:
            raise RefusedError(
                413, "metadata-too-large", f"the metadata take more than {self.config.max_metadata_bytes} bytes"
            )
        await self.wiring.outlet.deliver([row])
        return Answer()

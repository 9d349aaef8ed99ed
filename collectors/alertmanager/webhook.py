"""Takes Alertmanager's notifications by HTTP."""

import logging

from pydantic import Field

from abdrift.signals.alerts import AlertRow
from collectors.alertmanager import payload
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
from collectors.receiving.bodies import parsed_json

log = logging.getLogger(__name__)


class AlertmanagerConfig(EndpointConfig):
    """What a user sets for Alertmanager's webhook."""

    path: UrlPath = "/alertmanager"
    cluster_label: str = Field(default="cluster", min_length=1, description="Names an alert's cluster.")
    max_labels_bytes: int = Field(default=8_192, ge=1, le=8_192, description="Of one alert; more is refused.")


class Webhook(Endpoint[AlertmanagerConfig]):
    """An `HttpHandler`. A notification is taken whole, but for alerts that can't be; if none can be, it is refused."""

    async def handle(self, request: Received) -> Answer:
        """Take a notification.

        Raises:
            RefusedError: it is none, or none of its alerts can be taken. Alertmanager gives up on a 4xx.
            NotDeliveredError: as `Delivers.deliver`.

        """
        told = parsed_json(request, payload.Notification, self._wiring.limits.decoded_bytes)
        if told.version != payload.VERSION:
            raise RefusedError(400, "version", f"version {told.version[:16]!r} is not {payload.VERSION!r}")
        if told.truncated_alerts > 0:
            self._wiring.reject("truncated", told.truncated_alerts)
            log.warning(
                "%s left out %d alerts of a notification: raise its max_alerts",
                request.client.name,
                told.truncated_alerts,
            )
        rows, refusal = self._rows(request, told)
        if refusal and not rows:
            raise refusal
        await self._wiring.outlet.deliver(rows)
        return Answer()

    def _rows(self, request: Received, told: payload.Notification) -> tuple[list[AlertRow], RefusedError | None]:
        """Return the rows, and why the last that could not be taken could not be."""
        rows: list[AlertRow] = []
        refusal: RefusedError | None = None
        for alert in told.alerts:
            try:
                cluster = request.client.cluster_of(alert.labels.get(self._config.cluster_label))
                rows.append(
                    payload.row_of(alert, cluster, told.group_key, request.received_ms, self._config.max_labels_bytes)
                )
            except NotItsClusterError as error:
                self._wiring.reject("cluster")
                refusal = RefusedError(403, "cluster", str(error))
            except payload.BadAlertError as error:
                self._wiring.reject(error.reason)
                refusal = RefusedError(400, error.reason, str(error))
        return rows, refusal


build = builder(AlertmanagerConfig, Webhook)

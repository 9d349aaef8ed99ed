"""Answers scrapes and questions of health."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from abdrift.clock import ClockMs
from sinks.prometheus import telemetry
from sinks.prometheus.following import Freshness
from sinks.prometheus.series import Limits, metrics
from sinks.prometheus.view import View

_KEPT_SECONDS: Final = 1.0
"""So long an answer serves all who ask: to make it takes a part of a second that nothing else gets."""


@dataclass(frozen=True, slots=True)
class FleetCollector(Collector):
    """The fleet's series; none while there is doubt, for an old state would look like a healthy one."""

    view: View
    freshness: Freshness
    limits: Limits
    clock: ClockMs

    def describe(self) -> Iterable[Metric]:
        """Return nothing: names are asked for when nothing is known yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the series as they are now."""
        doubt = self.freshness.doubt()
        telemetry.CAUGHT_UP.set(doubt is None)
        if doubt is None:
            with telemetry.COLLECT_SECONDS.time():
                told = metrics(self.view, self.limits, self.clock())
            yield from told


class Pages:
    """`/metrics` and `/healthz`."""

    def __init__(self, registries: Iterable[CollectorRegistry], freshness: Freshness) -> None:
        """Take what is served, in this order, and what says whether it may be believed."""
        self._registries = tuple(registries)
        self._freshness = freshness
        self._made_seconds = 0.0
        self._body = b""

    def application(self) -> web.Application:
        """Return the pages as an application."""
        application = web.Application()
        application.add_routes([web.get("/metrics", self._metrics), web.get("/healthz", self._healthz)])
        return application

    async def _metrics(self, _request: web.Request) -> web.Response:
        if not self._body or time.monotonic() - self._made_seconds > _KEPT_SECONDS:
            self._body = b"".join(generate_latest(registry) for registry in self._registries)
            self._made_seconds = time.monotonic()
        response = web.Response(body=self._body, headers={"Content-Type": CONTENT_TYPE_LATEST})
        response.enable_compression()
        return response

    async def _healthz(self, _request: web.Request) -> web.Response:
        doubt = self._freshness.doubt()
        return web.Response(text=f"{doubt or 'all is read'}\n", status=503 if doubt else 200)

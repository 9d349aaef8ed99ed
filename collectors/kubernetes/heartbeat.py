"""An agent's word that it lives and sees, given only while that is so."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable

from abdrift.clock import ClockMs
from abdrift.signals.objects import HeartbeatDetail
from collectors import telemetry
from collectors.kubernetes.api import Api, ApiRefusedError, UnreachableError
from collectors.kubernetes.config import KubernetesConfig
from collectors.kubernetes.reflector import Reflector, State
from collectors.kubernetes.reporter import Reporter

log = logging.getLogger(__name__)

_PROMISE = 2
"""How many intervals a heartbeat vouches for: one may be late."""
_VERSION_EVERY = 120


class Heart:
    """Beats once an interval, if the API server answers and no watch has been broken for longer than that.

    The answer is asked for each time on a connection of its own: a watch whose connection died without a word looks
    open until its idle bound.
    """

    def __init__(
        self,
        config: KubernetesConfig,
        api: Api,
        reporter: Reporter,
        clock: ClockMs,
        reflectors: Callable[[], Iterable[Reflector]],
    ) -> None:
        self._config = config
        self._api = api
        self._reporter = reporter
        self._clock = clock
        self._reflectors = reflectors
        self._version = ""
        self._started_ms = clock()

    async def run(self) -> None:
        """Beat until cancelled."""
        beats = 0
        while True:
            try:
                if beats % _VERSION_EVERY == 0:
                    self._version = str((await self._api.get("/version")).get("gitVersion") or "")
                await self._beat()
                beats += 1
            except (ApiRefusedError, UnreachableError) as error:
                telemetry.SUPPRESSED.labels(self._config.source, "heartbeat-unanswered").inc()
                log.warning("%s: no heartbeat: %s", self._config.source, error)
            await asyncio.sleep(self._config.heartbeat_seconds)

    async def _beat(self) -> None:
        namespace = await self._api.get("/api/v1/namespaces/kube-system")
        watches = list(self._reflectors())
        telemetry.OPEN_WATCHES.labels(self._config.source).set(sum(each.state is State.OPEN for each in watches))
        longest_ms = max((broken_for_ms(each, self._clock()) for each in watches), default=0)
        if longest_ms > 1000 * self._config.heartbeat_seconds:
            telemetry.SUPPRESSED.labels(self._config.source, "heartbeat-blind").inc()
            return
        await self._reporter.heartbeat(
            HeartbeatDetail(
                cluster_uid=str(namespace["metadata"]["uid"]),
                interval_ms=round(1000 * self._config.heartbeat_seconds * _PROMISE),
                started_ms=self._started_ms,
                labels=self._config.labels,
                kubernetes_version=self._version,
                watches=dict(Counter(each.state.value for each in watches)),
                dropped=dict(self._reporter.dropped),
            )
        )


def broken_for_ms(reflector: Reflector, now_ms: int) -> int:
    """Return how long a watch has been out of order without having said so: a lost one has."""
    if reflector.broken_since_ms is None or reflector.state is State.LOST:
        return 0
    return now_ms - reflector.broken_since_ms

"""An agent's word that it lives and sees, given only while that is so."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

from abdrift.clock import ClockMs
from abdrift.signals.objects import CLUSTER, HeartbeatDetail, LostDetail
from collectors import telemetry
from collectors.kubernetes.api import Api, ApiRefusedError, UnreachableError
from collectors.kubernetes.config import KubernetesConfig
from collectors.kubernetes.reflector import Reflector, State
from collectors.kubernetes.reporter import Reporter

log = logging.getLogger(__name__)

_PROMISE = 2
"""How many intervals a heartbeat vouches for: one may be late."""
_VERSION_EVERY = 120
UNREACHABLE = "unreachable"
_REASONS: dict[int, str] = {HTTPStatus.UNAUTHORIZED: "unauthorized", HTTPStatus.FORBIDDEN: "forbidden"}


@dataclass(slots=True)
class Sight:
    """How an agent fares with its cluster's API server."""

    since_ms: int
    """When it was last answered, or began to ask."""
    answered: bool = False
    reason: str = ""
    """Why there is no answer now: unreachable, unauthorized or forbidden."""
    message: str = ""
    told: str = ""
    """The reason for which the cluster was said to be lost."""


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
        self.sight = Sight(self._started_ms)

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
                await self._unanswered(error)
            await asyncio.sleep(self._config.heartbeat_seconds)

    async def _beat(self) -> None:
        namespace = await self._api.get("/api/v1/namespaces/kube-system")
        self.sight = Sight(self._clock(), answered=True)
        watches = list(self._reflectors())
        telemetry.OPEN_WATCHES.labels(self._config.source).set(sum(each.state is State.OPEN for each in watches))
        longest_ms = max((broken_for_ms(each, self._clock()) for each in watches), default=0)
        if longest_ms > 1000 * self._config.heartbeat_seconds:
            telemetry.SUPPRESSED.labels(self._config.source, "heartbeat-blind").inc()
            return
        spooled = self._reporter.spooled
        await self._reporter.heartbeat(
            HeartbeatDetail(
                cluster_uid=str(namespace["metadata"]["uid"]),
                interval_ms=round(1000 * self._config.heartbeat_seconds * _PROMISE),
                started_ms=self._started_ms,
                labels=self._config.labels,
                kubernetes_version=self._version,
                watches=dict(Counter(each.state.value for each in watches)),
                dropped=dict(self._reporter.dropped),
                spooled_bytes=spooled.size_bytes,
                spooled_ms=spooled.oldest_ms,
            )
        )

    async def _unanswered(self, error: ApiRefusedError | UnreachableError) -> None:
        """Say once, for each reason, that the whole cluster is out of reach."""
        sight = self.sight
        sight.answered, sight.message = False, str(error)
        sight.reason = _REASONS.get(error.status, UNREACHABLE) if isinstance(error, ApiRefusedError) else UNREACHABLE
        out_of_reach_ms = self._clock() - sight.since_ms
        if out_of_reach_ms < 1000 * self._config.lost_after_seconds or sight.told == sight.reason:
            return
        sight.told = sight.reason
        detail = LostDetail(reason=sight.reason, message=sight.message, since_ms=sight.since_ms)
        await self._reporter.lost(CLUSTER, "v1", detail)


def broken_for_ms(reflector: Reflector, now_ms: int) -> int:
    """Return how long a watch has been out of order without having said so: a lost one has."""
    if reflector.broken_since_ms is None or reflector.state is State.LOST:
        return 0
    return now_ms - reflector.broken_since_ms

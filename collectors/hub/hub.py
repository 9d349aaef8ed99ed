"""The hub: an agent for each cluster that the roster names and this hub owns, and a word on how each fares."""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Any, Protocol

from prometheus_client import Gauge

from abdrift.clock import ClockMs, wall_clock_ms
from collectors.framing import FramerSettings, Send
from collectors.hub.config import HubConfig
from collectors.hub.heap import Heap
from collectors.hub.roster import Claim, Roster
from collectors.hub.shards import Alone, Membership
from collectors.hub.watched import STATES, Tools, Watched
from collectors.kubernetes.kinds import Masks

log = logging.getLogger(__name__)

CLUSTERS = Gauge("abdrift_hub_clusters", "Clusters of the roster, by how this hub sees them.", ["state"])
_LOOK_SECONDS = 1.0
_ELSEWHERE, _REFUSED = "elsewhere", "refused"


class Source(Protocol):
    """Where clusters come from."""

    async def run(self, roster: Roster) -> None:
        """Keep the roster up to date until cancelled."""


class Hub:
    """Watches the clusters of its sources, as far as its membership says that they are its own."""

    def __init__(
        self,
        config: HubConfig,
        send: Send,
        *,
        masker: Masks,
        framing: FramerSettings,
        membership: Membership | None = None,
        clock: ClockMs = wall_clock_ms,
        rng: random.Random | None = None,
    ) -> None:
        self.roster = Roster()
        self._config = config
        self._tools = Tools(send, masker, framing, clock, rng or random.Random())  # noqa: S311  jitter
        self._membership = membership or Alone()
        self._watched: dict[str, Watched] = {}
        self._next_start_seconds = 0.0
        self._heap = Heap()

    async def run(self, sources: Sequence[Source]) -> None:
        """Watch until cancelled.

        Raises:
            ExceptionGroup: a source or the membership failed.

        """
        try:
            async with asyncio.TaskGroup() as group:
                for source in sources:
                    group.create_task(source.run(self.roster), name=type(source).__name__)
                group.create_task(self._membership.run())
                group.create_task(self._follow(self.roster.changed))
                group.create_task(self._follow(self._membership.changed))
                group.create_task(self._count())
        finally:
            await asyncio.gather(*(watched.stop() for watched in self._watched.values()))
            self._watched.clear()
            self._heap.release()

    def status(self) -> dict[str, Any]:
        """Return how each cluster fares, as JSON values; nothing of it is secret."""
        clusters = self.roster.clusters()
        return {
            "at_ms": self._tools.clock(),
            "clusters": [self._status_of(name, claim) for name, claim in sorted(clusters.items())],
            "refused": [{"origin": origin, "reason": why} for origin, why in sorted(self.roster.problems().items())],
        }

    def _status_of(self, name: str, claim: Claim) -> dict[str, Any]:
        watched = self._watched.get(name)
        told = watched.status() if watched else {"state": _ELSEWHERE}
        return {"cluster": name, "origin": claim.origin, **told}

    async def _follow(self, changed: asyncio.Event) -> None:
        while True:
            await changed.wait()
            changed.clear()
            await self._settle()

    async def _settle(self) -> None:
        """Start what is missing, stop what is not this hub's, and renew credentials that changed."""
        wanted = {name: claim for name, claim in self.roster.clusters().items() if self._membership.owns(name)}
        stopping = [self._watched.pop(name) for name in self._watched.keys() - wanted.keys()]
        for name, claim in wanted.items():
            watched = self._watched.get(name)
            if watched is None:
                self._watched[name] = Watched(claim, self._config, self._tools, self._delay_seconds())
            elif watched.claim.origin != claim.origin:
                stopping.append(watched)
                self._watched[name] = Watched(claim, self._config, self._tools, self._delay_seconds())
            elif watched.claim.stamp != claim.stamp:
                watched.renew(claim)
        if stopping:
            self._heap.let_go()
        await asyncio.gather(*(watched.stop() for watched in stopping))

    def _delay_seconds(self) -> float:
        """Return how long a cluster waits for its start, so that first lists do not coincide."""
        now_seconds = asyncio.get_running_loop().time()
        at_seconds = max(now_seconds, self._next_start_seconds)
        self._next_start_seconds = at_seconds + self._config.stagger_seconds
        return at_seconds - now_seconds

    async def _count(self) -> None:
        while True:
            counts = dict.fromkeys((*STATES, _ELSEWHERE, _REFUSED), 0)
            for name in self.roster.clusters():
                counts[self._watched[name].state if name in self._watched else _ELSEWHERE] += 1
            counts[_REFUSED] = len(self.roster.problems())
            for state, number in counts.items():
                CLUSTERS.labels(state).set(number)
            self._heap.settle()
            await asyncio.sleep(_LOOK_SECONDS)

"""One cluster of a hub: its agent, kept running under a share of its own."""

import asyncio
import logging
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from abdrift.clock import ClockMs
from abdrift.kubeapi import Credentials
from abdrift.kubeconfig import KubeConfigError
from collectors import telemetry
from collectors.epochs import next_epoch
from collectors.framing import Framer, FramerSettings, Send
from collectors.hub.config import HubConfig
from collectors.hub.roster import Claim
from collectors.kubernetes.agent import Agent
from collectors.kubernetes.backoff import Backoff
from collectors.kubernetes.kinds import Masks
from collectors.kubernetes.shares import Bucket, FairShare

log = logging.getLogger(__name__)


STATES = ("seen", "starting", "unreachable", "unauthorized", "forbidden", "no-credentials")


@dataclass(frozen=True, slots=True)
class Tools:
    """What all clusters of a hub work with."""

    send: Send
    masker: Masks
    framing: FramerSettings
    clock: ClockMs
    rng: random.Random


class Watched:
    """Starts at once; an agent that fails is counted, logged and started again under a new epoch."""

    def __init__(self, claim: Claim, config: HubConfig, tools: Tools, delay_seconds: float) -> None:
        self.claim = claim
        self._config = config
        self._tools = tools
        self._cluster = config.of_cluster(claim.name)
        self._share = FairShare(
            self._cluster.source,
            Bucket(config.requests_per_second, config.requests_burst),
            Bucket(config.bytes_per_second, config.bytes_burst),
            concurrency=config.requests_at_once,
            max_answer_bytes=config.max_answer_bytes,
        )
        self._agent: Agent | None = None
        self._server = ""
        self._failure = ""
        self._again = asyncio.Event()
        self._renewals: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._run(delay_seconds), name=self._cluster.source)

    def renew(self, claim: Claim) -> None:
        """Use other credentials from now on; a cluster at another address is looked at anew."""
        self.claim = claim
        self._again.set()
        if self._agent is not None:
            task = asyncio.create_task(self._renew(self._agent))
            self._renewals.add(task)
            task.add_done_callback(self._renewals.discard)

    async def stop(self) -> None:
        """End the agent; what it saw by then is still sent."""
        for task in (self._task, *self._renewals):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @property
    def state(self) -> str:
        """How it fares, in a word: one of `STATES`."""
        if self._failure:
            return "no-credentials"
        if self._agent is None:
            return "starting"
        sight = self._agent.sight
        return "seen" if sight.answered else sight.reason or "starting"

    def status(self) -> dict[str, Any]:
        """Return how it fares, as JSON values: its state, since when, and why."""
        if self._agent is None or self._failure:
            return {"state": self.state} | ({"reason": self._failure} if self._failure else {})
        sight = self._agent.sight
        watches = Counter(state for states in self._agent.watches.values() for state in states)
        return {
            "state": self.state,
            "since_ms": sight.since_ms,
            "objects": self._agent.known_objects,
            "watches": dict(sorted(watches.items())),
            **({"reason": sight.message} if sight.message else {}),
        }

    async def _run(self, delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        backoff = Backoff(self._config.restart_initial_seconds, self._config.restart_max_seconds, self._tools.rng)
        while True:
            self._again.clear()
            try:
                await self._watch()
            except KubeConfigError as error:
                self._failure = str(error)
                log.warning("%s: %s", self._cluster.source, error)
            except Exception:  # whatever ended one cluster's agent must not end the others'
                telemetry.AGENT_FAILURES.labels(self._cluster.source).inc()
                log.exception("%s: the agent failed and is started again", self._cluster.source)
            finally:
                self._agent = None
            with suppress(TimeoutError):
                async with asyncio.timeout(backoff.seconds()):
                    await self._again.wait()

    async def _watch(self) -> None:
        tools, source = self._tools, self._cluster.source
        epoch = next_epoch(source, self._config.state_dir, tools.clock)
        async with Framer(source, epoch, tools.send, tools.framing, rng=tools.rng) as framer:
            self._agent = Agent(
                self._cluster,
                framer,
                masker=tools.masker,
                clock=tools.clock,
                rng=tools.rng,
                load=self._load,
                share=self._share,
            )
            self._agent.start()
            try:
                await self._agent.wait()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # It was stopped, to be started at the cluster's new address.

    def _load(self) -> Credentials:
        credentials = self.claim.load()
        self._server, self._failure = credentials.server, ""
        return credentials

    async def _renew(self, agent: Agent) -> None:
        server = self._server
        await agent.renew()
        if self._server != server:
            await agent.stop()

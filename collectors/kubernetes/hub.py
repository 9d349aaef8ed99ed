"""Many clusters from one process: an agent each, one sender for all."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from abdrift.clock import ClockMs, wall_clock_ms
from collectors import telemetry
from collectors.framing import FramerSettings, Send, Spooled
from collectors.kubernetes.agent import run
from collectors.kubernetes.backoff import Backoff
from collectors.kubernetes.config import KubernetesConfig
from collectors.kubernetes.kinds import Masks

log = logging.getLogger(__name__)

_STAGGER_SECONDS = 0.02
_RESTART_INITIAL_SECONDS = 1.0
_RESTART_MAX_SECONDS = 60.0


async def run_many(
    configs: Sequence[KubernetesConfig],
    send: Send,
    *,
    masker: Masks,
    settings: FramerSettings | None = None,
    clock: ClockMs = wall_clock_ms,
    rng: random.Random | None = None,
    spooled: Callable[[], Spooled] = Spooled,
) -> None:
    """Run an agent for each cluster until cancelled.

    An agent that fails (its kubeconfig is unusable, or there is a mistake in it) is counted, logged and started again
    under a new epoch, and the others go on. They start one after another, so that their first lists do not coincide.

    Raises:
        ValueError: two configurations name the same cluster.

    """
    names = [config.cluster for config in configs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"cluster {min(twice)!r} is configured twice; names are unique in the fleet")
    dice = rng or random.Random()  # noqa: S311  jitter

    async def keep_running(config: KubernetesConfig, number: int) -> None:
        await asyncio.sleep(number * _STAGGER_SECONDS)
        backoff = Backoff(_RESTART_INITIAL_SECONDS, _RESTART_MAX_SECONDS, dice)
        while True:
            try:
                await run(config, send, masker=masker, settings=settings, clock=clock, rng=dice, spooled=spooled)
            except Exception:  # whatever ended one cluster's agent must not end the others'
                telemetry.AGENT_FAILURES.labels(config.source).inc()
                log.exception("%s: the agent failed and is started again", config.source)
            await asyncio.sleep(backoff.seconds())

    async with asyncio.TaskGroup() as group:
        for number, config in enumerate(configs):
            group.create_task(keep_running(config, number), name=config.source)

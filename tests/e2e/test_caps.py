"""No cap is exceeded by however many governors, killed, paused and rebalanced in the midst of commands."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from abdrift.facts.governance import Budget, Budgets
from abdrift.kafka import environment_name
from abdrift.processes import Program, Supervisor
from abdrift.topics import COMMAND, OUTCOME
from tests.e2e import edits
from tests.e2e.apps import App, deploy
from tests.e2e.policies import ACTING, OPEN
from tests.e2e.sites import simulated_sites
from tests.e2e.stack import eventually, running_stack
from tests.parts.flux import REQUESTED_AT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from abdrift.simulation import SimCluster
    from tests.e2e.facts import Fact
    from tests.e2e.stack import Stack

pytestmark = [pytest.mark.parts, pytest.mark.asyncio(loop_scope="session")]

CLUSTERS, APPS = 2, 5
PER_HOUR, IN_FLIGHT = 6, 2
MORE_SECONDS = 12.0
MORE = ("governor-b", "governor-c")
FLEET = Budget(in_flight=IN_FLIGHT, per_hour=PER_HOUR)
CAPPED = ACTING.model_copy(update={"budgets": Budgets(cluster=OPEN, site=OPEN, source_host=OPEN, fleet=FLEET)})
UNCAPPED_WOULD_BE = CLUSTERS * APPS
"""Owners with a finding: each would get a command."""


@dataclass
class Audit:
    """The requests for a reconcile that the clusters' API servers took from the sink, each value once."""

    requests: set[tuple[str, str]]

    def watch(self, cluster: SimCluster) -> None:
        """Note what the sink writes to Flux's objects from now on."""

        def listen(_: Any, change: Any) -> None:
            if change.new is None:
                return
            metadata = change.new.value()["metadata"]
            writers = {entry["manager"] for entry in metadata.get("managedFields", ())}
            value = metadata.get("annotations", {}).get(REQUESTED_AT)
            if value and "abdrift-gitops" in writers:
                self.requests.add((cluster.name, value))

        cluster.api.store.listen(listen)


def more_governors(stack: Stack) -> list[Program]:
    """Return two governors besides the pipeline's own; one of the three has the work at a time."""
    keys, servers = str(stack.folder / "keys"), stack.pipeline.kafka.bootstrap_servers
    given = ("worker", "governor", "--keys", keys, "--tick-seconds", "0.25", "--session-timeout-seconds", "6")
    environment = {environment_name("bootstrap_servers"): servers}
    return [Program(name, (*given, "--data", str(stack.folder / name)), environment) for name in MORE]


async def torment(pids: Sequence[Callable[[], int]], dice: random.Random) -> None:
    """Kill and pause governors until cancelled; each pause outlasts the session, so that another takes over."""
    paused: int | None = None
    try:
        while True:
            await asyncio.sleep(dice.uniform(1, 3))
            victim = dice.choice(pids)()
            if dice.random() < 0.5:
                os.kill(victim, signal.SIGKILL)
            else:
                paused = victim
                os.kill(victim, signal.SIGSTOP)
                await asyncio.sleep(8)
                os.kill(victim, signal.SIGCONT)
                paused = None
    finally:
        if paused is not None:
            os.kill(paused, signal.SIGCONT)


async def test_crashes_pauses_and_rebalances_of_three_governors_exceed_no_cap(tmp_path: Path) -> None:
    async with AsyncExitStack() as parts:
        sites = await parts.enter_async_context(simulated_sites(tmp_path, CLUSTERS))
        stack = await parts.enter_async_context(running_stack(sites, tmp_path / "stack", policy=CAPPED))
        audit = Audit(set())
        for site in sites:
            audit.watch(site.simulated)
        apps = await asyncio.gather(*(deploy(site) for site in sites for _ in range(APPS)))
        await asyncio.gather(*(stack.proven(app) for app in apps))
        more = await parts.enter_async_context(Supervisor(more_governors(stack), tmp_path / "governors"))
        await more.wait_ready(180)
        pids = [partial(stack.pipeline.supervisor.pid, "worker-fleet"), *(partial(more.pid, name) for name in MORE)]
        tormenting = asyncio.create_task(torment(pids, random.Random(7)))
        findings = [await broken(stack, app) for app in apps]
        await eventually(lambda: len(issued(stack)) >= PER_HOUR, "the hour's budget is spent", 400)
        await asyncio.sleep(MORE_SECONDS)  # governors go on being killed: each takes over with the budget spent
        tormenting.cancel()
        await asyncio.gather(tormenting, return_exceptions=True)
        waiting = [f for f in findings if not any(f.subject in c.finding_ids for c in stack.commands())]
        assert waiting, "some had to wait"
        assert len(issued(stack)) == PER_HOUR < UNCAPPED_WOULD_BE
        assert {value for _, value in audit.requests} <= issued(stack)
        assert peak_in_flight(stack) <= IN_FLIGHT


def issued(stack: Stack) -> set[str]:
    """Return the ids of all commands."""
    return {command.subject for command in stack.commands()}


async def broken(stack: Stack, app: App) -> Fact:
    await edits.data_changed(app)
    return await stack.finding(app, "changed", app.settings)


def peak_in_flight(stack: Stack) -> int:
    """Return how many commands were under way at most, from being issued until their last outcome."""
    under_way: set[str] = set()
    peak = 0
    changes = [f for f in stack.log.facts if f.type in (COMMAND.name, OUTCOME.name)]
    for fact in sorted(changes, key=lambda f: (f.append_ms, f.type == COMMAND.name)):
        if fact.type == COMMAND.name:
            under_way.add(fact.subject)
        elif fact.data["result"] != "accepted":
            under_way.discard(fact.subject)
        peak = max(peak, len(under_way))
    return peak

"""What breaks in the midst of edits costs no finding and doubles none, and what was not seen shows as a gap."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from abdrift.facts.base import rfc3339
from abdrift.topics import COMMAND, FINDING, OUTCOME, VERDICT
from tests.e2e import edits
from tests.e2e.apps import CONFIG_MAP
from tests.parts.kube_api import ApiError
from tests.parts.waiting import WITHIN_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from tests.e2e.apps import App
    from tests.e2e.facts import Fact
    from tests.e2e.stack import Stack

pytestmark = [pytest.mark.parts, pytest.mark.asyncio(loop_scope="session")]

OBJECTS = 12
REAL, SIMULATED = "real", "simulated"
PAUSE_SECONDS = 0.15
MANY, REFUSALS = 1_000_000, 50
"""Requests that may be refused, and more than whoever edits makes in a second: the agent is among those refused."""
FORBIDDEN = 403
"""What an API server says of everyone until it has read its roles."""


async def agent_killed(stack: Stack) -> None:
    kill(stack, "agent")


async def workers_killed(stack: Stack) -> None:
    for name in ("worker-drift", "worker-fleet"):
        kill(stack, name)


async def broker_killed(stack: Stack) -> None:
    broker = stack.pipeline.broker
    assert broker is not None, "the stack runs its own"
    await asyncio.to_thread(broker.kill)
    await broker.astart()


async def watches_cut(stack: Stack) -> None:
    for _ in range(3):
        await stack.site.cut_watches()
        await asyncio.sleep(PAUSE_SECONDS)


async def history_gone(stack: Stack) -> None:
    """Silence, and what happened meanwhile is no longer to be had by a watch: 410."""
    cluster = stack.site.simulated
    cluster.switches.refuse(503, MANY)
    cluster.switches.drop_watches()
    await asyncio.sleep(1)

    async def refused() -> bool:
        return MANY - cluster.switches.refuse_count >= REFUSALS

    await until(refused, "the agent is refused")
    # Something must happen meanwhile: a watch that is up to date resumes even from a compacted history.
    cluster.storm(20)
    cluster.api.store.compact()
    cluster.switches.refuse(0)


async def apiserver_killed(stack: Stack) -> None:
    assert stack.site.real is not None, "only a real one can be killed"
    await asyncio.to_thread(stack.site.real.apiserver.kill)
    await asyncio.to_thread(stack.site.real.apiserver.start)


@dataclass(frozen=True)
class Fault:
    """What is broken, and whether that leaves a stretch of time unseen."""

    strike: Callable[[Stack], Coroutine[Any, Any, None]]
    gap: str | None = None
    """The reason told."""


FAULTS = {
    "agent-killed": Fault(agent_killed, "agent-restarted"),
    "worker-killed": Fault(workers_killed),
    "broker-killed": Fault(broker_killed),
    "watches-cut": Fault(watches_cut),
    "history-gone": Fault(history_gone, "api-unreachable"),
    "apiserver-killed": Fault(apiserver_killed, "api-unreachable"),
}
ON = [
    *(
        (backend, name)
        for backend in (REAL, SIMULATED)
        for name in ("agent-killed", "worker-killed", "broker-killed", "watches-cut")
    ),
    (REAL, "apiserver-killed"),
    (SIMULATED, "history-gone"),
]


def kill(stack: Stack, name: str) -> None:
    os.kill(stack.pipeline.supervisor.pid(name), signal.SIGKILL)


def many() -> dict[str, str]:
    return {f"app/part-{n:02d}.yaml": CONFIG_MAP.replace("settings", f"part-{n:02d}") for n in range(OBJECTS)}


async def hold(app: App, until: str | None) -> None:
    note = {"metadata": {"annotations": {"abdrift.dev/hold-until": until}}}
    await insist(lambda: app.site.alice.patch(app.owner, note, field_manager="kubectl-annotate"))


async def insist(request: Callable[[], Awaitable[Any]], within_seconds: float = WITHIN_SECONDS) -> None:
    """Repeat a request until the API server takes it."""
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            await request()
        except (aiohttp.ClientError, TimeoutError, OSError, ApiError) as error:
            if time.monotonic() > deadline or (
                isinstance(error, ApiError) and error.code < 500 and error.code != FORBIDDEN
            ):
                raise
            await asyncio.sleep(0.05)
        else:
            return


async def edit(app: App, number: int) -> None:
    ref = app.ref("ConfigMap", f"part-{number:02d}")
    await insist(lambda: app.site.alice.patch(ref, edits.RED, field_manager="kubectl-edit"))
    await asyncio.sleep(PAUSE_SECONDS)


# As one of the two is no fixture, the scope were the function's otherwise, and each case had a pipeline of its own.
@pytest.mark.parametrize(("backend", "name"), ON, indirect=["backend"], scope="session")
async def test_no_finding_is_missed_and_none_doubled(stack: Stack, name: str) -> None:
    fault = FAULTS[name]
    app = await stack.deploy(many())
    await hold(app, rfc3339(datetime.now(UTC) + timedelta(hours=1)))
    since = stack.log.mark
    third = OBJECTS // 3
    for number in range(third):
        await edit(app, number)
    striking = asyncio.create_task(fault.strike(stack))
    for number in range(third, 2 * third):
        await edit(app, number)
    await striking
    for number in range(2 * third, OBJECTS):
        await edit(app, number)
    refs = [app.ref("ConfigMap", f"part-{number:02d}") for number in range(OBJECTS)]
    found = [await stack.finding(app, "changed", ref, since=since) for ref in refs]
    if fault.gap:
        await gap_shown(stack, app, since, fault.gap)
    await hold(app, None)
    for finding in found:
        await stack.closed(app, finding)
    await stack.verdict(app, "in-sync")
    told = [f for f in stack.log.findings(app.namespace, since) if f.data["kind"] == "changed"]
    assert Counter(f.data["object"]["name"] for f in once(told)) == Counter(ref.name for ref in refs)
    consistent(told)


def once(findings: list[Fact]) -> list[Fact]:
    """Return one fact for each finding."""
    return list({f.subject: f for f in findings}.values())


def consistent(findings: list[Fact]) -> None:
    """Assert that a revision of a finding has one content, however often it was published."""
    said: dict[tuple[str, int], Any] = {}
    for finding in findings:
        key = (finding.subject, finding.data["revision"])
        assert said.setdefault(key, finding.data) == finding.data


async def gap_shown(stack: Stack, app: App, since: int, reason: str) -> None:
    """Wait until the evidence of something about the application tells of the gap."""

    def tells(fact: Fact) -> bool:
        sources = fact.data.get("evidence", {}).get("sources", ()) if fact.type in (FINDING.name, VERDICT.name) else ()
        return fact.names(app.namespace) and any((s.get("gap") or {}).get("reason") == reason for s in sources)

    await stack.until(tells, f"a gap ({reason}) in the evidence", app, since=since)


@pytest.mark.parametrize("victim", ["sink-gitops", "worker-fleet"])
async def test_a_command_survives_who_carries_it_out_or_issued_it(stack: Stack, victim: str) -> None:
    app = await stack.deploy()
    since = stack.log.mark
    await edits.data_changed(app)
    finding = await stack.finding(app, "changed", app.settings, since=since)
    issued = await stack.until(
        lambda f: f.type == COMMAND.name and finding.subject in f.finding_ids, "a command", app, since=since
    )
    kill(stack, victim)
    await stack.corrected(app, finding)
    await stack.mark()
    commands = {f.subject for f in stack.commands(since) if finding.subject in f.finding_ids}
    assert commands == {issued.subject}
    ends = {f.data["revision"] for f in stack.log.of_type(OUTCOME.name, since) if f.subject == issued.subject}
    assert len(ends) == 2, "accepted, then one end"
    await stack.verdict(app, "in-sync")


@pytest.mark.parametrize("backend", [SIMULATED], indirect=True)
async def test_events_that_may_not_be_read_cost_no_finding(stack: Stack) -> None:
    cluster = stack.site.simulated
    cluster.access.forbid("agent", "events")
    cluster.switches.drop_watches()
    try:
        app = await stack.deploy()
        await edits.image(app)
        await stack.corrected(app, await stack.finding(app, "changed", app.web))
    finally:
        cluster.access.permit("agent", "events")


@pytest.mark.parametrize("backend", [REAL], indirect=True)
async def test_events_lost_to_rate_limits_cost_no_finding(stack: Stack) -> None:
    rounds = 6
    app = await stack.deploy(many())
    refs = [app.ref("ConfigMap", f"part-{number:02d}") for number in range(OBJECTS)]
    for _ in range(rounds):
        since = stack.log.mark
        await asyncio.gather(*(app.site.alice.patch(ref, edits.RED, field_manager="kubectl-edit") for ref in refs))
        for ref in refs:
            await stack.closed(app, await stack.finding(app, "changed", ref, since=since))
        await stack.verdict(app, "in-sync")
    events = await app.site.admin.list("v1", "Event", app.namespace)
    corrected = [e for e in events if e["involvedObject"]["name"] == "app" and "configured" in e["message"]]
    told = sum(e["message"].count("configured") for e in corrected)
    assert told < rounds * OBJECTS, "Flux's events told of every correction: nothing was lost that could be missed"

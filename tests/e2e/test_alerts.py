"""An alert of a real Prometheus has real Flux asked, and its end is the outcome."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from abdrift.facts.commands import Verb
from abdrift.facts.drift import DriftKind
from abdrift.facts.governance import AlertMapping, Alerts, LabelSelector, Mode, Rule
from abdrift.topics import COMMAND, DECISION, FINDING, OUTCOME
from tests.e2e import edits
from tests.e2e.alerting import alerting
from tests.e2e.policies import ACTING
from tests.parts.flux import REQUESTED_AT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.apps import App
    from tests.e2e.facts import Fact
    from tests.e2e.stack import Stack

pytestmark = [pytest.mark.parts, pytest.mark.asyncio(loop_scope="session")]

ON_ALERT = ACTING.model_copy(
    update={
        "alerts": Alerts(
            mappings=(AlertMapping(name="pages", alerts=LabelSelector(match_labels={"severity": "page"})),)
        ),
        "rules": (
            Rule(name="when it hurts", mode=Mode.ACT, grace_seconds=0, kinds=(DriftKind.ALERT,)),
            # May be undone, and is no reason to by itself: an edit does not ask for a forced upgrade.
            Rule(name="edits", mode=Mode.ACT, grace_seconds=0, verbs=(Verb.FORCE,)),
        ),
    }
)


async def edited(stack: Stack, app: App) -> tuple[int, Fact]:
    """Edit by hand until that is left alone, which shows that the policy is in force; return since when, and what."""
    while True:
        since = stack.log.mark
        await edits.scale(app)
        changed = await stack.finding(app, "changed", app.web, since=since)
        decision = await stack.until(
            lambda fact, about=changed.subject: fact.type == DECISION.name and about in fact.finding_ids,
            f"a decision about {changed.subject}",
            app,
            since=since,
        )
        if decision.data["result"] == "refused":
            return since, changed
        await stack.closed(app, changed)


@pytest.mark.parametrize("backend", ["real"], indirect=True)
async def test_an_alert_about_an_edited_workload_has_flux_asked_and_ends(stack: Stack, tmp_path: Path) -> None:
    app = await stack.deploy()
    await stack.publish(ON_ALERT)
    try:
        since, changed = await edited(stack, app)
        async with alerting(stack, app, tmp_path):
            alert = await stack.finding(app, "alert", app.web, since=since)
            outcome = await stack.outcome(app, alert, since=since)
            assert outcome.data["result"] == "corrected", stack.diagnosis(app.namespace)
            endings = [await stack.closed(app, each) for each in (changed, alert)]
    finally:
        await stack.publish(ACTING)
    assert [each.data["closed_because"] for each in endings] == ["corrected", "resolved"]
    assert "alertmanager TooManyReplicas" in {
        f"{e['source']} {e.get('what')}" for e in alert.data["evidence"]["sources"]
    }
    (command,) = (f for f in stack.commands(since) if alert.subject in f.finding_ids)
    assert set(command.finding_ids) == {changed.subject, alert.subject}
    owner = await app.site.admin.get(app.owner)
    assert owner["metadata"]["annotations"][REQUESTED_AT] == command.subject
    assert (await app.site.admin.get(app.web))["spec"]["replicas"] == 2
    subjects = {changed.subject: "changed", alert.subject: "alert", command.subject: "command"}
    told = [
        f"{subjects[f.subject]} {f.data.get('state') or f.data.get('result') or 'issued'}"
        for f in sorted(stack.log.facts[since:], key=lambda f: f.append_ms)
        if f.type in (FINDING.name, COMMAND.name, OUTCOME.name) and f.subject in subjects
    ]
    # Which of the two ends first is between Kubernetes' watch and Prometheus.
    story = ["changed open", "alert open", "command issued", {"changed closed", "alert closed"}, "command corrected"]
    first = {what: number for number, what in reversed(list(enumerate(told)))}
    places = [[first[what] for what in ({step} if isinstance(step, str) else step)] for step in story]
    assert all(max(before) < min(after) for before, after in pairwise(places)), told

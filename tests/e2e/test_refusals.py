"""What reconciling won't correct, and what only a person may let go: found all the same, and the reason told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from abdrift.facts.commands import Verb
from tests.e2e.apps import CONFIG_MAP, DEPLOYMENT, release
from tests.e2e.stack import codes
from tests.parts.discovery import Ref

if TYPE_CHECKING:
    from tests.e2e.apps import App
    from tests.e2e.facts import Fact
    from tests.e2e.stack import Stack

pytestmark = [pytest.mark.parts, pytest.mark.together, pytest.mark.asyncio(loop_scope="session")]

RED = {"data": {"color": "red"}}


async def refused(stack: Stack, app: App, finding: Fact, code: str, reason: str) -> None:
    """Assert that a finding says why reconciling won't correct it, and that its refusal says so too."""
    assert finding.data["reconcile_corrects"] == "no"
    assert reason in finding.data["reconcile_corrects_reason"]
    await stack.decision(app, finding, "refused", code=code)
    assert not [command for command in stack.commands() if finding.subject in command.finding_ids]


async def test_an_object_that_says_reconcile_disabled(stack: Stack) -> None:
    app = await stack.deploy()
    mark = {"metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}}}
    await app.site.alice.patch(app.settings, mark, field_manager="kubectl-annotate")
    paused = await stack.finding(app, "suspended", app.settings)
    await refused(stack, app, paused, "suspended-by-annotation", "the live object says so itself")
    await app.site.alice.patch(app.settings, RED, field_manager="kubectl-edit")
    edited = await stack.finding(app, "changed", app.settings)
    await refused(stack, app, edited, "reconcile-would-not-correct", "reconcile: disabled")
    await app.reconcile()
    assert (await app.site.admin.get(app.settings))["data"]["color"] == "red", "Flux says Ready and leaves it"
    await stack.mark()  # whatever that reconcile made anybody say has been said by now
    told = [f.data["state"] for f in stack.log.findings(app.namespace) if f.subject == edited.subject]
    assert told[-1] == "open", stack.diagnosis(app.namespace)


async def test_a_kustomization_that_someone_suspended(stack: Stack) -> None:
    app = await stack.deploy()
    await app.site.alice.patch(app.owner, {"spec": {"suspend": True}}, field_manager="flux")
    paused = await stack.finding(app, "suspended", app.owner)
    assert paused.data["managers"] == ["flux"]
    await refused(stack, app, paused, "verb-not-allowed", "the owner is suspended")
    await app.site.alice.patch(app.settings, RED, field_manager="kubectl-edit")
    edited = await stack.finding(app, "changed", app.settings)
    await refused(stack, app, edited, "reconcile-would-not-correct", "the owner is suspended")
    await app.site.alice.patch(app.owner, {"spec": {"suspend": False}}, field_manager="flux")
    await stack.closed(app, paused)
    await stack.closed(app, edited)


async def test_a_field_that_another_manager_added_and_flux_leaves(stack: Stack) -> None:
    app = await stack.deploy()
    added = {"metadata": {"annotations": {"example.com/tuned": "yes"}}}
    await app.site.alice.patch(app.web, added, field_manager="tuner")
    finding = await stack.finding(app, "changed", app.web)
    assert finding.data["managers"] == ["tuner"]
    await refused(stack, app, finding, "reconcile-would-not-correct", "another manager added")


async def test_a_commit_that_flux_has_not_fetched(stack: Stack) -> None:
    app = await stack.deploy()
    revision = await app.repository.commit({"app/settings.yaml": CONFIG_MAP.replace("blue", "green")}, "Paint it green")
    finding = await stack.finding(app, "behind", app.owner)
    assert finding.data["desired"]["revision"] == revision
    assert "has not fetched it" in finding.data["reconcile_corrects_reason"]
    await stack.approve(app, finding, Verb.RECONCILE_WITH_SOURCE)
    outcome = await stack.corrected(app, finding)
    assert outcome.data["applied_revision"] == revision
    assert (await app.site.admin.get(app.settings))["data"]["color"] == "green"


BROKEN = {
    "refused-by-the-api": {"app/deployment.yaml": DEPLOYMENT.replace("replicas: 2", "replicas: -1")},
    "unknown-kind": {"app/settings.yaml": CONFIG_MAP.replace("kind: ConfigMap", "kind: Sprocket")},
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_commit_that_flux_cannot_build_or_apply(stack: Stack, name: str) -> None:
    app = await stack.deploy()
    since = stack.log.mark
    revision = await app.repository.commit(BROKEN[name], "Break it")
    await app.fetch()
    finding = await stack.finding(
        app, "failing", app.owner, since=since, where=lambda data: data["desired"]["revision"] == revision
    )
    assert finding.data["reconcile_corrects_reason"] == "the controller retries by itself"
    await stack.decision(app, finding, "refused", code="artifact-not-applied")
    assert not [command for command in stack.commands() if finding.subject in command.finding_ids]


async def test_an_orphan_after_prune_was_taken_away(stack: Stack) -> None:
    app = await stack.deploy()
    await app.site.admin.patch(app.owner, {"spec": {"prune": False}})
    await app.at_rest()
    await app.roll_out({"app/settings.yaml": None}, "Remove the settings")
    finding = await stack.finding(app, "orphaned", app.settings)
    assert finding.data["reconcile_corrects"] == "no"
    assert "removes only what" in finding.data["reconcile_corrects_reason"]
    await stack.decision(app, finding, "observed", code="orphaned")


async def test_a_releases_object_is_corrected_only_by_force_where_nobody_detects_drift(stack: Stack) -> None:
    app = await stack.proven(await release(stack.site, None))
    config = app.ref("ConfigMap", "demo-config")
    await app.site.alice.patch(config, RED, field_manager="kubectl-edit")
    finding = await stack.finding(app, "changed", config)
    assert [(f["path"], f["old"], f["new"]) for f in finding.data["fields"]] == [("/data/color", "blue", "red")]
    assert finding.data["reconcile_corrects"] == "no"
    assert "driftDetection.mode is disabled" in finding.data["reconcile_corrects_reason"]
    waiting = await stack.decision(app, finding, "awaiting-approval")
    assert (waiting.data["verb"], codes(waiting)) == ("force", {"verb-needs-approval"})
    await app.reconcile()
    assert (await app.site.admin.get(config))["data"]["color"] == "red"
    await stack.approve(app, finding, Verb.FORCE)
    outcome = await stack.corrected(app, finding)
    assert outcome.data["verb"] == "force"
    assert (await app.site.admin.get(config))["data"]["color"] == "blue"


async def test_a_releases_object_is_left_where_drift_is_only_warned_of(stack: Stack) -> None:
    app = await stack.proven(await release(stack.site, "warn"))
    config = app.ref("ConfigMap", "demo-config")
    await app.site.alice.patch(config, RED, field_manager="kubectl-edit")
    finding = await stack.finding(app, "changed", config)
    await refused(stack, app, finding, "reconcile-would-not-correct", "driftDetection.mode is warn")
    await app.reconcile()
    assert (await app.site.admin.get(config))["data"]["color"] == "red"


async def test_a_releases_object_is_corrected_where_flux_detects_drift(stack: Stack) -> None:
    app = await stack.proven(await release(stack.site, "enabled"))
    config = app.ref("ConfigMap", "demo-config")
    await app.site.alice.patch(config, RED, field_manager="kubectl-edit")
    finding = await stack.finding(app, "changed", config)
    assert finding.data["reconcile_corrects"] == "yes"
    outcome = await stack.corrected(app, finding)
    assert outcome.data["verb"] == "reconcile"
    assert (await app.site.admin.get(config))["data"]["color"] == "blue"


async def test_an_edit_in_a_namespace_of_which_nothing_is_known_is_no_command(stack: Stack) -> None:
    app = await stack.deploy()
    stranger = Ref("v1", "ConfigMap", "unmanaged", app.namespace)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "unmanaged", "namespace": app.namespace}}
    await app.site.alice.create(body)
    since = stack.log.mark
    await app.site.alice.patch(stranger, RED)
    await stack.quiet(app, since)

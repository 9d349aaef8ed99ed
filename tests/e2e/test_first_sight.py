"""A collector started after a change, an addition and a removal never says that there is no drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from abdrift.topics import VERDICT
from tests.e2e.early import BEFORE

if TYPE_CHECKING:
    from tests.e2e.apps import App
    from tests.e2e.stack import Stack

pytestmark = [pytest.mark.parts, pytest.mark.together, pytest.mark.asyncio(loop_scope="session")]


def verdicts(stack: Stack, app: App) -> list[str]:
    owner = (app.owner.kind, app.namespace, app.owner.name)
    told = (f.data for f in stack.log.of_type(VERDICT.name))
    return [v["verdict"] for v in told if (v["owner"]["kind"], v["owner"]["namespace"], v["owner"]["name"]) == owner]


@pytest.mark.parametrize("name", BEFORE)
async def test_nothing_is_said_to_be_in_sync_before_a_reconcile_was_seen(stack: Stack, name: str) -> None:
    app = stack.early[name]
    await stack.verdict(app)
    await stack.mark()  # whatever would be said without a reconcile has been said by now
    assert "in-sync" not in verdicts(stack, app)
    assert not [c for c in stack.commands() if c.data["target"]["namespace"] == app.namespace]
    before = stack.log.findings(app.namespace)
    if name == "deleted":
        assert {f.data["kind"] for f in before} == {"deleted"}
    else:
        assert {f.data["certainty"] for f in before} <= {"suspect"}
        assert not [c for f in before for c in f.data.get("fields", ()) if c["old_known"] and c["op"] == "replace"]
    await app.reconcile()
    await stack.verdict(app, "in-sync")
    for finding in before:
        await stack.closed(app, finding)
    web, settings = await app.site.admin.get(app.web), await app.site.admin.get(app.settings)
    (container,) = web["spec"]["template"]["spec"]["containers"]
    assert (container["image"], web["spec"]["replicas"]) == ("registry.invalid/web:1.0.0", 2)
    assert (container["env"], settings["data"]["color"]) == ([{"name": "COLOR", "value": "blue"}], "blue")
    assert "oncall" not in web["metadata"]["labels"]


@pytest.mark.parametrize(
    ("name", "corrects", "code"),
    [("changed", "yes", "first-sight"), ("scaled", "unknown", "correction-unknown"), ("added", "yes", "first-sight")],
)
async def test_what_left_a_trace_is_suspected_and_not_commanded(
    stack: Stack, name: str, corrects: str, code: str
) -> None:
    app = stack.early[name]
    finding = await stack.finding(app, "changed", app.web)
    assert (finding.data["certainty"], finding.data["reconcile_corrects"]) == ("suspect", corrects)
    await stack.decision(app, finding, "refused", code=code)

"""Each kind of drift that Flux corrects: from the API call to the fact on the topic to the correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import edits
from tests.e2e.edits import CONTAINER

if TYPE_CHECKING:
    from tests.e2e.edits import Edit
    from tests.e2e.stack import Stack

pytestmark = [pytest.mark.parts, pytest.mark.together, pytest.mark.asyncio(loop_scope="session")]

IMAGES = ("registry.invalid/web:1.0.0", "registry.invalid/web:hotfix")
COLOR = {"name": "COLOR", "value": "blue"}
DEBUG = {"name": "DEBUG", "value": "1"}


@dataclass(frozen=True)
class Case:
    """An edit, what is found because of it, and what of the finding a person would look at."""

    edit: Edit
    kind: str
    object: str
    change: tuple[str, Any, Any] | None = None
    """Path, old and new value."""
    managers: tuple[str, ...] = ()


CASES = {
    "image": Case(edits.image, "changed", "web", (f"{CONTAINER}/image", *IMAGES), ("kubectl-set",)),
    "replicas-by-scale": Case(edits.scale, "changed", "web", ("/spec/replicas", 2, 5), ("alice",)),
    "env-added": Case(edits.env_added, "changed", "web", None, ("kubectl-set",)),
    "label-added": Case(
        edits.label_added, "changed", "web", ("/metadata/labels/oncall", None, "alice"), ("kubectl-label",)
    ),
    "field-removed": Case(edits.field_removed, "changed", "web", (f"{CONTAINER}/env", [COLOR], None)),
    "data-changed": Case(edits.data_changed, "changed", "settings", ("/data/color", "blue", "red"), ("kubectl-edit",)),
    "as-kustomize-controller": Case(
        edits.as_controller, "changed", "settings", ("/data/color", "blue", "red"), ("kustomize-controller",)
    ),
    "config-map-deleted": Case(edits.deleted, "deleted", "settings"),
    "deleted-and-recreated": Case(edits.recreated, "deleted", "settings"),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_drift_is_found_commanded_and_corrected(stack: Stack, name: str) -> None:
    case = CASES[name]
    app = await stack.deploy()
    ref = app.web if case.object == "web" else app.settings
    before = await app.site.admin.get(ref)
    await case.edit(app)
    finding = await stack.finding(app, case.kind, ref)
    assert finding.data["certainty"] == "proven"
    assert finding.data["reconcile_corrects"] == "yes"
    assert finding.data["owner"]["name"] == "app"
    if case.change is not None:
        told = [(each["path"], each.get("old"), each.get("new")) for each in finding.data["fields"]]
        assert told == [case.change]
    assert tuple(finding.data.get("managers", ())) == case.managers
    outcome = await stack.corrected(app, finding)
    assert outcome.data["verb"] == "reconcile"
    times = [outcome.data[name] for name in ("issued_at", "received_at", "patched_at", "handled_at", "ready_at")]
    assert times == sorted(times)
    after = await app.site.admin.get(ref)
    assert (after.get("spec"), after.get("data")) == (before.get("spec"), before.get("data"))
    await stack.verdict(app, "in-sync")


async def test_an_added_variable_is_told_as_the_one_item_it_is(stack: Stack) -> None:
    app = await stack.deploy()
    await edits.env_added(app)
    finding = await stack.finding(app, "changed", app.web)
    (change,) = finding.data["fields"]
    assert (change["op"], change["new"], change.get("old")) == ("add", DEBUG, None)
    assert change["path"].startswith(f"{CONTAINER}/env")

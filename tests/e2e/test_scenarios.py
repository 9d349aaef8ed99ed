"""Each kind of drift, from the API call to the fact on the topic to Flux's correction, or to the reason why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.apps import App

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.e2e.stack import Stack
    from tests.parts.discovery import Object

pytestmark = [pytest.mark.parts, pytest.mark.asyncio(loop_scope="session")]

WEB = "/spec/template/spec/containers/0"


def container(**fields: Any) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "web", **fields}]}}}}


async def image(app: App) -> None:
    edit = container(image="registry.invalid/web:hotfix")
    await app.site.alice.patch(app.web, edit, patch_type="strategic", field_manager="kubectl-set")


async def scale(app: App) -> None:
    await app.site.alice.patch(app.web, {"spec": {"replicas": 5}}, subresource="scale")


async def env_added(app: App) -> None:
    edit = container(env=[{"name": "DEBUG", "value": "1"}])
    await app.site.alice.patch(app.web, edit, patch_type="strategic", field_manager="kubectl-set")


async def label_added(app: App) -> None:
    await app.site.alice.patch(app.web, {"metadata": {"labels": {"oncall": "alice"}}}, field_manager="kubectl-label")


async def field_removed(app: App) -> None:
    edit = [{"op": "remove", "path": f"{WEB}/env"}]
    await app.site.alice.patch(app.web, edit, patch_type="json", field_manager="kubectl-edit")


async def as_controller(app: App) -> None:
    """Apply under Flux's own name while the owner is idle."""
    live = await app.site.alice.get(app.settings)
    labels = live["metadata"]["labels"]
    applied = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": app.namespace, "labels": labels},
        "data": {"color": "red", "level": "info"},
    }
    await app.site.alice.apply(applied, field_manager="kustomize-controller")


async def deleted(app: App) -> None:
    await app.site.alice.delete(app.settings)


async def recreated(app: App) -> None:
    live = await app.site.alice.get(app.settings)
    await app.site.alice.delete(app.settings)
    metadata = {"name": "settings", "namespace": app.namespace}
    again = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": live["data"]}
    await app.site.alice.create(again, field_manager="kubectl-create")


@dataclass(frozen=True)
class Case:
    """An edit, what is found because of it, and what of the finding a person would look at."""

    edit: Callable[[App], Awaitable[None]]
    kind: str
    object: str
    paths: tuple[tuple[str, Any, Any], ...] = ()
    """Path, old and new value."""
    managers: tuple[str, ...] = ()


CASES = {
    "image": Case(
        image,
        "changed",
        "web",
        ((f"{WEB}/image", "registry.invalid/web:1.0.0", "registry.invalid/web:hotfix"),),
        ("kubectl-set",),
    ),
    "replicas-by-scale": Case(scale, "changed", "web", (("/spec/replicas", 2, 5),), ("alice",)),
    "env-added": Case(env_added, "changed", "web", (), ("kubectl-set",)),
    "label-added": Case(
        label_added, "changed", "web", (("/metadata/labels/oncall", None, "alice"),), ("kubectl-label",)
    ),
    "field-removed": Case(field_removed, "changed", "web", ((f"{WEB}/env", [{"name": "COLOR", "value": "blue"}], None),)),
    "as-kustomize-controller": Case(
        as_controller, "changed", "settings", (("/data/color", "blue", "red"),), ("kustomize-controller",)
    ),
    "config-map-deleted": Case(deleted, "deleted", "settings"),
    "deleted-and-recreated": Case(recreated, "deleted", "settings"),
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
    changes = {each["path"]: (each.get("old"), each.get("new")) for each in finding.data.get("fields", ())}
    for path, old, new in case.paths:
        assert changes[path] == (old, new)
    assert set(case.managers) <= set(finding.data.get("managers", ()))
    outcome = await stack.corrected(app, finding)
    assert outcome.data["verb"] == "reconcile"
    after = await app.site.admin.get(ref)
    assert after.get("spec") == before.get("spec")
    assert after.get("data") == before.get("data")
    await stack.verdict(app, "in-sync")

"""What people do by hand to what Flux applied, each as their tools send it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tests.e2e.apps import App

if TYPE_CHECKING:
    from tests.parts.discovery import Object

Edit = Callable[[App], Awaitable[None]]
CONTAINER = "/spec/template/spec/containers/0"
RED = {"data": {"color": "red"}}


def _container(**fields: Any) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "web", **fields}]}}}}


async def image(app: App) -> None:
    """Set another image."""
    edit = _container(image="registry.invalid/web:hotfix")
    await app.site.alice.patch(app.web, edit, patch_type="strategic", field_manager="kubectl-set")


async def scale(app: App) -> None:
    """Scale through the subresource, which leaves no time."""
    await app.site.alice.patch(app.web, {"spec": {"replicas": 5}}, subresource="scale")


async def env_added(app: App) -> None:
    """Add a variable; a strategic merge puts it before the others."""
    edit = _container(env=[{"name": "DEBUG", "value": "1"}])
    await app.site.alice.patch(app.web, edit, patch_type="strategic", field_manager="kubectl-set")


async def label_added(app: App) -> None:
    """Add a label."""
    await app.site.alice.patch(app.web, {"metadata": {"labels": {"oncall": "alice"}}}, field_manager="kubectl-label")


async def field_removed(app: App) -> None:
    """Remove a field that Flux owns, which leaves no foreign entry."""
    edit = [{"op": "remove", "path": f"{CONTAINER}/env"}]
    await app.site.alice.patch(app.web, edit, patch_type="json", field_manager="kubectl-edit")


async def data_changed(app: App) -> None:
    """Edit the ConfigMap."""
    await app.site.alice.patch(app.settings, RED, field_manager="kubectl-edit")


async def as_controller(app: App) -> None:
    """Apply under Flux's own name."""
    live = await app.site.alice.get(app.settings)
    metadata = {"name": "settings", "namespace": app.namespace, "labels": live["metadata"]["labels"]}
    data = {"color": "red", "level": "info"}
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    await app.site.alice.apply(applied, field_manager="kustomize-controller")


async def deleted(app: App) -> None:
    """Delete the ConfigMap."""
    await app.site.alice.delete(app.settings)


async def recreated(app: App) -> None:
    """Delete the ConfigMap and make it anew with the same data."""
    live = await app.site.alice.get(app.settings)
    await app.site.alice.delete(app.settings)
    metadata = {"name": "settings", "namespace": app.namespace}
    again = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": live["data"]}
    await app.site.alice.create(again, field_manager="kubectl-create")

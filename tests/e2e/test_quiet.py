"""What is not drift stays quiet: shown by a later edit elsewhere being found, and nothing about this before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.apps import APP, CONFIG_MAP, DEPLOYMENT, App
from tests.e2e.policies import OTHER_OPERATOR
from tests.parts import gitops
from tests.parts.discovery import Ref
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.e2e.stack import Stack

pytestmark = [pytest.mark.parts, pytest.mark.together, pytest.mark.asyncio(loop_scope="session")]

OPTED_OUT = CONFIG_MAP.replace(
    "{name: settings}", "{name: settings, annotations: {kustomize.toolkit.fluxcd.io/ssa: IfNotPresent}}"
)
AUTOSCALER = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 8
"""
AUTOSCALED = {
    "app/deployment.yaml": DEPLOYMENT.replace("  replicas: 2\n", ""),
    "app/autoscaler.yaml": AUTOSCALER,
}
CHILD = """
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: child}
spec:
  interval: 1h
  timeout: 30s
  path: ./child
  prune: true
  wait: false
  targetNamespace: $NAMESPACE
  sourceRef: {kind: GitRepository, name: fleet}
"""


async def status_written(stack: Stack, app: App) -> None:
    noticed = {"type": "Noticed", "status": "True", "reason": "Test", "message": "a status write"}
    body = {"status": {"conditions": [noticed]}}
    await app.site.alice.patch(
        app.web, body, patch_type="strategic", field_manager="some-operator", subresource="status"
    )


async def default_claimed(stack: Stack, app: App) -> None:
    """Another manager applies what the API server had filled in already."""
    claimed = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": app.namespace},
        "spec": {"progressDeadlineSeconds": 600},
    }
    await app.site.alice.apply(claimed, field_manager="some-operator", force=False)


async def quantity_respelled(stack: Stack, app: App) -> None:
    wanted = {"requests": {"cpu": "0.500", "memory": "1048576Ki"}}
    edit = {"spec": {"template": {"spec": {"containers": [{"name": "web", "resources": wanted}]}}}}
    await app.site.alice.patch(app.web, edit, patch_type="strategic", field_manager="kubectl-edit")


async def opted_out(stack: Stack, app: App) -> None:
    await app.site.alice.patch(app.settings, {"data": {"color": "red"}}, field_manager="kubectl-edit")


async def autoscaled(stack: Stack, app: App) -> None:
    await app.roll_out(
        {"app/autoscaler.yaml": AUTOSCALER.replace("minReplicas: 1", "minReplicas: 3")}, "Three at least"
    )
    if app.site.fleet is not None:
        cluster = app.site.simulated
        hpa = cluster.api.get(cluster.kind("HorizontalPodAutoscaler"), app.namespace, "web")
        cluster.workloads.autoscale(hpa, 3)

    async def scaled() -> bool:
        return bool((await app.site.admin.get(app.web))["spec"]["replicas"] == 3)

    await until(scaled, "the autoscaler has scaled")


async def pruned_and_recreated(stack: Stack, app: App) -> None:
    await app.roll_out({"app/settings.yaml": None}, "Remove the settings")
    assert await app.site.admin.find(app.settings) is None
    await app.roll_out({"app/settings.yaml": CONFIG_MAP}, "Put them back")


async def others_field(stack: Stack, app: App) -> None:
    edit = {"metadata": {"annotations": {"mesh.example.com/injected": "yes"}}}
    await app.site.alice.patch(app.web, edit, field_manager=OTHER_OPERATOR)


async def rolled_out(stack: Stack, app: App) -> None:
    changed = {
        "app/deployment.yaml": DEPLOYMENT.replace("1.0.0", "1.1.0").replace("replicas: 2", "replicas: 3"),
        "app/settings.yaml": CONFIG_MAP.replace("blue", "green"),
    }
    await app.roll_out(changed, "Version 1.1.0")


CASES: dict[str, tuple[Callable[[Stack, App], Awaitable[None]], dict[str, str]]] = {
    "status-written": (status_written, APP),
    "default-claimed": (default_claimed, APP),
    "quantity-respelled": (quantity_respelled, APP),
    "opted-out": (opted_out, {**APP, "app/settings.yaml": OPTED_OUT}),
    "autoscaled-within-bounds": (autoscaled, AUTOSCALED),
    "pruned-and-recreated-by-flux": (pruned_and_recreated, APP),
    "field-under-an-ignore-rule": (others_field, APP),
    "rolled-out-from-git": (rolled_out, APP),
}


@pytest.mark.parametrize("name", CASES)
async def test_it_is_no_drift(stack: Stack, name: str) -> None:
    act, files = CASES[name]
    app = await stack.deploy(files)
    since = stack.log.mark
    await act(stack, app)
    await stack.quiet(app, since)


async def test_abdrifts_own_request_on_an_inventoried_kustomization_is_no_drift(stack: Stack) -> None:
    app = await stack.deploy(
        {**APP, "app/child.yaml": CHILD, "child/config.yaml": CONFIG_MAP.replace("settings", "own")}
    )
    child = App(
        app.site,
        app.namespace,
        app.repository,
        app.source,
        Ref(gitops.KUSTOMIZE_API, "Kustomization", "child", app.namespace),
        app.revision,
    )
    await stack.proven(child)
    since, own = stack.log.mark, app.ref("ConfigMap", "own")
    await app.site.alice.patch(own, {"data": {"color": "red"}}, field_manager="kubectl-edit")
    finding = await stack.finding(child, "changed", own, since=since)
    await stack.corrected(child, finding)
    assert "abdrift-gitops" in str((await app.site.admin.get(child.owner))["metadata"]["managedFields"])
    await stack.mark()
    told = [f for f in stack.log.findings(app.namespace, since) if f.subject != finding.subject]
    assert not told, stack.diagnosis(app.namespace)

"""The shipped rights, in the real cluster; agents that use them."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from abdrift.clock import wall_clock_ms
from abdrift.masking import Masker
from collectors.kubernetes import Agent, KubernetesConfig
from tests.collectors.recording import Recording

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from tests.parts.cluster import Cluster
    from tests.parts.kube_api import KubeApi

RBAC = Path(__file__).parents[3] / "deploy" / "rbac"
SHIPPED = ("namespace.yaml", "agent.yaml", "gitops.yaml", "gitops-admission.yaml")
STORAGE = RBAC / "helm-storage" / "helm-storage.yaml"
SECRETS = RBAC / "secrets" / "secrets.yaml"

StartAgent = "Callable[..., AbstractAsyncContextManager[tuple[Agent, Recording]]]"


@pytest.fixture
async def shipped(admin: KubeApi) -> None:
    """The rights that deploy/rbac grants by itself, and none of its components."""
    for name in SHIPPED:
        await admin.apply_yaml(RBAC / name)


@pytest.fixture
async def observer(cluster: Cluster, shipped: None) -> Path:
    """A kubeconfig of the shipped observing ServiceAccount."""
    return await cluster.service_account_kubeconfig("abdrift-system", "abdrift-agent")


@pytest.fixture
async def actor(cluster: Cluster, shipped: None) -> Path:
    """A kubeconfig of the shipped acting ServiceAccount."""
    return await cluster.service_account_kubeconfig("abdrift-system", "abdrift-gitops")


@pytest.fixture
def start_agent(observer: Path) -> Callable[..., AbstractAsyncContextManager[tuple[Agent, Recording]]]:
    """Start an agent with the shipped rights: `async with start_agent(**config) as (agent, seen)`."""

    @asynccontextmanager
    async def started(**settings: Any) -> AsyncIterator[tuple[Agent, Recording]]:
        given = {"heartbeat_seconds": 0.5, "recheck_seconds": 2, "refused_retry_seconds": 2, **settings}
        config = KubernetesConfig(cluster="edge-0001", kubeconfig=observer, **given)
        seen = Recording()
        agent = Agent(config, seen, masker=Masker(b"k" * 32), clock=wall_clock_ms, rng=random.Random(1))
        agent.start()
        try:
            await synced(seen)
            yield agent, seen
        finally:
            await agent.stop()

    async def synced(seen: Recording) -> None:
        for kind in ("Kustomization", "HelmRelease", "Deployment", "Namespace"):
            await seen.until(lambda row, kind=kind: row.op == "synced" and row.kind == kind, f"{kind} synced")

    return started

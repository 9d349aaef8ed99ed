"""A hub and an inventory on a real management cluster, under the rights that deploy/rbac/hub ships."""

from __future__ import annotations

import asyncio
import base64
import random
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from abdrift.masking import Masker
from abdrift.signals.objects import ObjectRow
from collectors.hub import Hub, HubConfig
from collectors.hub.cluster_api import ClusterApi
from collectors.hub.flux import FluxRemotes
from collectors.hub.management import Management
from collectors.inventory import cluster_api
from collectors.kubernetes.config import KubernetesConfig
from tests.collectors.recording import RecordingTopic
from tests.parts.discovery import Ref
from tests.parts.waiting import until

if TYPE_CHECKING:
    from tests.parts.cluster import Cluster
    from tests.parts.kube_api import KubeApi

pytestmark = pytest.mark.parts

RBAC = Path(__file__).parents[3] / "deploy" / "rbac"
CRDS = Path(__file__).parent / "cluster_api_crds.yaml"
NAME = "edge-7"


@pytest.fixture
async def management(cluster: Cluster, admin: KubeApi, namespace: str) -> KubernetesConfig:
    """The cluster as the hub's ServiceAccount sees it: kubeconfigs of one namespace are shown to it."""
    for source in (RBAC / "namespace.yaml", RBAC / "agent.yaml", RBAC / "hub" / "hub.yaml", CRDS):
        await admin.apply_yaml(source)
    await admin.create(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "abdrift-hub", "namespace": namespace},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "abdrift-hub-kubeconfigs",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "abdrift-hub", "namespace": "abdrift-system"}],
        }
    )
    kubeconfig = await cluster.service_account_kubeconfig("abdrift-system", "abdrift-hub")
    return KubernetesConfig(cluster="management", kubeconfig=kubeconfig, refused_retry_seconds=0.5)


@pytest.fixture
async def kubeconfig(cluster: Cluster, management: KubernetesConfig) -> str:
    """A kubeconfig of the observing ServiceAccount, for a Secret."""
    path = await cluster.service_account_kubeconfig("abdrift-system", "abdrift-agent")
    return path.read_text()


def secret(namespace: str, text: str, **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": f"{NAME}-kubeconfig",
            "namespace": namespace,
            "labels": {"cluster.x-k8s.io/cluster-name": NAME},
        },
        "type": "cluster.x-k8s.io/secret",
        "data": {"value": base64.b64encode(text.encode()).decode()},
        **changes,
    }


async def test_a_cluster_is_watched_from_its_secret_on_until_it_goes(
    admin: KubeApi, management: KubernetesConfig, kubeconfig: str, namespace: str
) -> None:
    topic, config = RecordingTopic(), HubConfig(heartbeat_seconds=0.5, lost_after_seconds=1)
    hub = Hub(config, topic, masker=Masker(b"k" * 32), framing=config.framing(4), rng=random.Random(1))

    def is_state(state: str | None) -> Any:
        async def so() -> bool:
            return [each["state"] for each in hub.status()["clusters"]] == ([state] if state else [])

        return so

    async def synced() -> bool:
        rows = [row for row in topic.rows if isinstance(row, ObjectRow) and row.cluster == NAME]
        return any((row.op, row.kind) == ("synced", "Deployment") for row in rows)

    ref = Ref("v1", "Secret", f"{NAME}-kubeconfig", namespace)
    async with Management(management) as reach:
        running = asyncio.create_task(hub.run([ClusterApi(reach, [namespace]), FluxRemotes(reach, [namespace])]))
        try:
            await admin.create(secret(namespace, kubeconfig))
            await until(is_state("seen"), "the cluster is seen")
            await until(synced, "its objects are listed")
            await admin.patch(ref, {"data": secret(namespace, kubeconfig.replace("token: ", "token: x"))["data"]})
            await until(is_state("unauthorized"), "a wrong token is said")
            await admin.patch(ref, {"data": secret(namespace, kubeconfig)["data"]})
            await until(is_state("seen"), "the cluster is seen again")
            assert len({part.epoch for _, _, frame in topic.frames for part in frame.parts}) == 1
            await admin.delete(ref)
            await until(is_state(None), "the cluster is let go of")
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
    token = yaml.safe_load(kubeconfig)["users"][0]["user"]["token"]
    assert token not in str(topic.rows)
    assert token not in str(hub.status())


async def test_cluster_apis_objects_are_an_inventory(
    admin: KubeApi, management: KubernetesConfig, namespace: str
) -> None:
    labels = {"site": "ber-1", "abdrift.dev/environment": "ref"}
    api_version = "cluster.x-k8s.io/v1beta1"
    owner = {"name": NAME, "namespace": namespace}
    await admin.create({"apiVersion": api_version, "kind": "Cluster", "metadata": {**owner, "labels": labels}})
    machine = {
        "apiVersion": api_version,
        "kind": "Machine",
        "metadata": {
            "name": f"{NAME}-0",
            "namespace": namespace,
            "labels": {"cluster.x-k8s.io/cluster-name": NAME},
        },
        "spec": {"infrastructureRef": {"kind": "MicrovmMachine"}},
    }
    await admin.create(machine)

    async def found() -> Any:
        read = await cluster_api.read(management)
        return [record.labels for record in read if record.origin == f"cluster-api {namespace}/{NAME}"]

    assert await until(found, "the inventory") == [{"site": "ber-1", "environment": "ref", "node-kinds": "microvm"}]

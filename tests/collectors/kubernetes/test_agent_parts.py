"""The agent on a real API server with real Flux, under the rights that deploy/rbac ships."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from abdrift.signals.objects import HeartbeatDetail, LostDetail, decode_detail
from collectors.kubernetes.config import FLUX_KINDS, HEALTH_KINDS
from tests.collectors.kubernetes.conftest import SECRETS, STORAGE
from tests.parts import gitops
from tests.parts.discovery import Ref
from tests.parts.flux import wait_ready
from tests.parts.test_cluster import APP, CHART, RED

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from abdrift.signals.objects import ObjectRow
    from collectors.kubernetes import Agent
    from tests.collectors.recording import Recording
    from tests.parts.cluster import Cluster
    from tests.parts.git import GitRepo
    from tests.parts.kube_api import KubeApi

    StartAgent = Callable[..., AbstractAsyncContextManager[tuple[Agent, Recording]]]

pytestmark = pytest.mark.parts

DEFAULT_KINDS = FLUX_KINDS + HEALTH_KINDS

KUBE_SYSTEM = Ref("v1", "Namespace", "kube-system")
CANARY = "canary-2f7c0d"  # base64 of it is looked for too


async def deploy(admin: KubeApi, repo: GitRepo, namespace: str) -> Ref:
    repo.commit(APP, "Deploy the app")
    source = await admin.create(gitops.git_repository("fleet", namespace, repo.url))
    owner = await admin.create(gitops.kustomization("app", source, "./app"))
    await wait_ready(admin, Ref.of(owner))
    return Ref.of(owner)


def config_map(name: str, namespace: str, **metadata: object) -> dict[str, object]:
    meta = {"name": name, "namespace": namespace, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"color": "blue"}}


def about(name: str, op: str, kind: str, namespace: str) -> Callable[[ObjectRow], bool]:
    return lambda row: (row.op, row.kind, row.namespace, row.name) == (op, kind, namespace, name)


async def test_it_lists_what_the_inventory_names_and_follows_edits_and_deletions(
    admin: KubeApi, alice: KubeApi, namespace: str, repo: GitRepo, start_agent: StartAgent
) -> None:
    await deploy(admin, repo, namespace)
    web, settings = Ref("apps/v1", "Deployment", "web", namespace), Ref("v1", "ConfigMap", "app-config", namespace)
    async with start_agent() as (_, seen):
        await seen.until(about("app-config", "listed", "ConfigMap", namespace), "the ConfigMap by Flux's label")
        await seen.until(lambda row: (row.op, row.kind) == ("synced", "ConfigMap"), "ConfigMaps synced")
        listed = next(row for row in seen.objects if about("web", "listed", "Deployment", namespace)(row))
        edited = await alice.patch(web, RED, patch_type="strategic")
        row = await seen.until(
            lambda row: row.op == "modified" and row.resource_version == edited["metadata"]["resourceVersion"],
            "the edit",
        )
        assert row.uid == listed.uid
        assert row.parsed()["metadata"]["managedFields"] == edited["metadata"]["managedFields"]
        await alice.delete(settings)
        await seen.until(about("app-config", "deleted", "ConfigMap", namespace), "the deletion")


async def test_an_object_whose_label_was_taken_away_is_modified_and_not_deleted(
    admin: KubeApi, alice: KubeApi, namespace: str, repo: GitRepo, start_agent: StartAgent
) -> None:
    await deploy(admin, repo, namespace)
    settings = Ref("v1", "ConfigMap", "app-config", namespace)
    async with start_agent(recheck_seconds=0.5) as (_, seen):
        await seen.until(about("app-config", "listed", "ConfigMap", namespace), "the ConfigMap")
        stripped = {"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": None}}, "data": {"color": "red"}}
        await alice.patch(settings, stripped)
        await seen.until(about("app-config", "modified", "ConfigMap", namespace), "the stripped ConfigMap")
        seen.clear()
        await alice.patch(settings, {"data": {"color": "green"}})
        row = await seen.until(about("app-config", "modified", "ConfigMap", namespace), "an edit that no watch shows")
        assert row.parsed()["data"] == {"color": "green"}
        assert not [row for row in seen.objects if row.op == "deleted" and row.name == "app-config"]


async def test_an_inventoried_object_without_labels_is_found_by_a_new_agent(
    admin: KubeApi, alice: KubeApi, namespace: str, repo: GitRepo, start_agent: StartAgent
) -> None:
    await deploy(admin, repo, namespace)
    settings = Ref("v1", "ConfigMap", "app-config", namespace)
    label = {"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": None}}}
    await alice.patch(settings, label)
    async with start_agent() as (_, seen):
        await seen.until(about("app-config", "added", "ConfigMap", namespace), "the ConfigMap without its label")


async def test_recreation_is_a_deletion_and_an_addition_under_another_uid(
    admin: KubeApi, alice: KubeApi, namespace: str, start_agent: StartAgent
) -> None:
    job = Ref("apps/v1", "Deployment", "own", namespace)
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "own", "namespace": namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "own"}},
            "template": {
                "metadata": {"labels": {"app": "own"}},
                "spec": {"containers": [{"name": "own", "image": "registry.invalid/own:1"}]},
            },
        },
    }
    first = await admin.create(body)
    async with start_agent() as (_, seen):
        await seen.until(about("own", "listed", "Deployment", namespace), "the first")
        await alice.delete(job)
        second = await admin.create(body)
        gone = await seen.until(about("own", "deleted", "Deployment", namespace), "its deletion")
        again = await seen.until(about("own", "added", "Deployment", namespace), "its successor")
        assert (gone.uid, again.uid) == (first["metadata"]["uid"], second["metadata"]["uid"])


async def test_what_happened_while_the_api_server_was_away_is_told_once(
    cluster: Cluster, admin: KubeApi, namespace: str, start_agent: StartAgent
) -> None:
    # A Node is gone at once; what a controller has to take part in waits until that has found the server again.
    stays, goes = (Ref("v1", "Node", f"{namespace}-{name}") for name in ("stays", "goes"))
    for ref in (stays, goes):
        await admin.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": ref.name}})
    async with start_agent() as (_, seen):
        await seen.until(about(stays.name, "listed", "Node", ""), "the Node")
        await asyncio.to_thread(cluster.apiserver.stop)
        await asyncio.to_thread(cluster.apiserver.start)
        seen.clear()
        await admin.delete(goes)
        await seen.until(about(goes.name, "deleted", "Node", ""), "the deletion")
        await seen.until(lambda row: row.op == "heartbeat", "a heartbeat of the restarted server")
        assert [row.op for row in seen.objects if row.name == goes.name][-1] == "deleted"
        assert not [row for row in seen.objects if row.name == stays.name]
    await admin.delete(stays)


async def test_what_it_may_not_read_is_lost_and_heartbeats_go_on(
    admin: KubeApi, shipped: None, start_agent: StartAgent
) -> None:
    identity = (await admin.get(KUBE_SYSTEM))["metadata"]["uid"]
    leases = ("coordination.k8s.io", "Lease")
    async with start_agent(kinds=(*DEFAULT_KINDS, leases, ("example.com", "Nothing"))) as (_, seen):
        forbidden = await seen.until(lambda row: (row.op, row.kind) == ("lost", "Lease"), "leases lost")
        missing = await seen.until(lambda row: (row.op, row.kind) == ("lost", "Nothing"), "no such kind")
        beat = await seen.until(lambda row: row.op == "heartbeat" and b'"lost":1' in row.detail, "a heartbeat")
        assert decode_detail(forbidden, LostDetail).reason == "forbidden"
        assert decode_detail(missing, LostDetail).reason == "not-found"
        assert decode_detail(beat, HeartbeatDetail).cluster_uid == identity


async def test_a_kind_defined_later_is_watched_from_then_on(admin: KubeApi, start_agent: StartAgent) -> None:
    async with start_agent(kinds=(*DEFAULT_KINDS, ("late.example.com", "Widget"))) as (_, seen):
        await seen.until(lambda row: (row.op, row.kind) == ("lost", "Widget"), "not served yet")
        role = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "late-widgets", "labels": {"abdrift.dev/aggregate-to-agent": "true"}},
            "rules": [{"apiGroups": ["late.example.com"], "resources": ["*"], "verbs": ["get", "list", "watch"]}],
        }
        await admin.apply(role)
        await admin.apply(WIDGETS)
        try:
            await seen.until(lambda row: (row.op, row.kind) == ("synced", "Widget"), "widgets synced")
        finally:
            await admin.delete(Ref.of(WIDGETS))
            await admin.delete(Ref.of(role))


async def test_a_releases_manifest_is_read_where_granted_and_unreadable_where_not(
    admin: KubeApi, namespace: str, repo: GitRepo, start_agent: StartAgent
) -> None:
    repo.commit(CHART, "Add the chart")
    source = await admin.create(gitops.git_repository("fleet", namespace, repo.url))
    release = await admin.create(gitops.helm_release("demo", source, "./charts/demo"))
    await wait_ready(admin, Ref.of(release))
    async with start_agent(refused_retry_seconds=0.5) as (_, seen):
        unreadable = await seen.until(about("demo", "added", "HelmManifest", namespace), "the pseudo object")
        assert unreadable.parsed()["error"].startswith("unreadable")
        granted = await admin.apply_yaml(STORAGE)
        try:
            row = await seen.until(about("demo", "modified", "HelmManifest", namespace), "the manifest")
            told = row.parsed()
            assert (told["error"], told["release"], told["version"], told["status"]) == (None, "demo", 1, "deployed")
            assert [(each["kind"], each["metadata"]["namespace"]) for each in told["objects"]] == [
                ("ConfigMap", namespace)
            ]
            await seen.until(
                lambda row: row.kind == "ConfigMap" and row.name == "demo-config", "its inventoried object"
            )
        finally:
            for each in reversed(granted):
                await admin.delete(Ref.of(each))


async def test_no_secret_value_leaves_the_agent(
    admin: KubeApi, namespace: str, repo: GitRepo, start_agent: StartAgent
) -> None:
    secret = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: keys}}\nstringData: {{token: {CANARY}}}\n"
    chart = {"charts/demo/templates/secret.yaml": secret.replace("keys", "chart-keys")}
    repo.commit({**CHART, **chart, "app/secret.yaml": secret}, "Deploy secrets")
    source = await admin.create(gitops.git_repository("fleet", namespace, repo.url))
    owner = await admin.create(gitops.kustomization("app", source, "./app"))
    release = await admin.create(gitops.helm_release("demo", source, "./charts/demo"))
    await wait_ready(admin, Ref.of(owner))
    await wait_ready(admin, Ref.of(release))
    granted = [*await admin.apply_yaml(STORAGE), *await admin.apply_yaml(SECRETS)]
    try:
        async with start_agent(secrets=True) as (_, seen):
            row = await seen.until(about("keys", "listed", "Secret", namespace), "the Secret, masked")
            assert row.parsed()["data"]["token"].startswith("hmac:")
            manifest = await seen.until(
                lambda row: row.kind == "HelmManifest" and b"chart-keys" in row.object, "the chart's Secret, masked"
            )
            assert b"hmac:" in manifest.object
            told = b"".join(row.object + row.detail for row in seen.objects)
            assert CANARY.encode() not in told
            assert b"Y2FuYXJ5LTJmN2MwZ" not in told
    finally:
        for each in reversed(granted):
            await admin.delete(Ref.of(each))


WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.late.example.com"},
    "spec": {
        "group": "late.example.com",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}

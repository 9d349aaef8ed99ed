"""The test bed itself: what later tests rely on, each seen once on the real parts."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from tests.parts import gitops
from tests.parts.cluster import Cluster
from tests.parts.discovery import Object, Ref
from tests.parts.flux import condition, reconcile, request_reconcile, wait_ready
from tests.parts.kube_api import GONE, ApiError, KubeApi
from tests.parts.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.git import GitRepo

pytestmark = pytest.mark.parts

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "registry.invalid/web:1.0.0", env: [{name: COLOR, value: blue}]}
"""
CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: app-config}
data: {color: blue}
"""
APP = {
    "app/kustomization.yaml": "resources: [configmap.yaml, deployment.yaml]\n",
    "app/configmap.yaml": CONFIG_MAP,
    "app/deployment.yaml": DEPLOYMENT,
}
CHART = {
    "charts/demo/Chart.yaml": "apiVersion: v2\nname: demo\nversion: 0.1.0\n",
    "charts/demo/values.yaml": "color: blue\n",
    "charts/demo/templates/configmap.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-config'}\n"
        "data: {color: '{{ .Values.color }}'}\n"
    ),
}
KUBE_SYSTEM = Ref("v1", "Namespace", "kube-system")
RED = {"spec": {"template": {"spec": {"containers": [{"name": "web", "env": [{"name": "COLOR", "value": "red"}]}]}}}}


def color(deployment: Object) -> str:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return next(str(entry["value"]) for entry in container["env"] if entry["name"] == "COLOR")


async def deploy(admin: KubeApi, repo: GitRepo, namespace: str) -> Ref:
    repo.commit(APP, "Deploy the app")
    source = await admin.create(gitops.git_repository("fleet", namespace, repo.url))
    owner = await admin.create(gitops.kustomization("app", source, "./app"))
    await wait_ready(admin, Ref.of(owner))
    return Ref.of(owner)


async def test_flux_undoes_an_edit_by_hand_when_asked_and_after_an_apiserver_restart(
    cluster: Cluster, admin: KubeApi, alice: KubeApi, namespace: str, repo: GitRepo
) -> None:
    owner = await deploy(admin, repo, namespace)
    web = Ref("apps/v1", "Deployment", "web", namespace)
    assert (await admin.get(owner))["status"]["lastAppliedRevision"] == repo.revision

    for restart in (False, True):
        edited = await alice.patch(web, RED, patch_type="strategic", field_manager="kubectl-edit")
        assert color(edited) == "red"
        managers = {entry["manager"]: entry["operation"] for entry in edited["metadata"]["managedFields"]}
        assert managers["kustomize-controller"] == "Apply"
        assert managers["kubectl-edit"] == "Update"
        if restart:
            await asyncio.to_thread(cluster.apiserver.restart)
        await reconcile(admin, owner)
        assert color(await admin.get(web)) == "blue"


async def test_a_commit_stays_unfetched_while_flux_is_stopped(
    cluster: Cluster, admin: KubeApi, namespace: str, repo: GitRepo
) -> None:
    owner = await deploy(admin, repo, namespace)
    source = Ref(gitops.SOURCE_API, "GitRepository", "fleet", namespace)
    before = repo.revision
    await asyncio.to_thread(cluster.flux.stop)
    repo.commit({"app/configmap.yaml": CONFIG_MAP.replace("blue", "green")}, "Paint it green")
    await request_reconcile(admin, source)
    assert (await admin.get(source))["status"]["artifact"]["revision"] == before

    await asyncio.to_thread(cluster.flux.start)

    async def applied() -> bool:
        return bool((await admin.get(owner))["status"]["lastAppliedRevision"] == repo.revision)

    await until(applied, "the commit is applied")
    stored = await admin.get(Ref("v1", "ConfigMap", "app-config", namespace))
    assert stored["data"] == {"color": "green"}
    assert any(repo.url.rpartition("/")[2] in request.path for request in cluster.git.requests)


async def test_a_helm_release_from_the_repository_is_installed_and_its_drift_corrected(
    admin: KubeApi, alice: KubeApi, namespace: str, repo: GitRepo
) -> None:
    repo.commit(CHART, "Add a chart")
    source = await admin.create(gitops.git_repository("fleet", namespace, repo.url))
    release = gitops.helm_release("demo", source, "./charts/demo", drift_detection="enabled")
    owner = Ref.of(await admin.create(release))
    await wait_ready(admin, owner)
    config = Ref("v1", "ConfigMap", "demo-config", namespace)
    assert (await alice.patch(config, {"data": {"color": "red"}}))["data"] == {"color": "red"}
    await reconcile(admin, owner)

    async def corrected() -> bool:
        return bool((await admin.get(config))["data"] == {"color": "blue"})

    await until(corrected, "helm-controller corrected the ConfigMap")


async def test_a_commit_that_cannot_be_built_makes_its_owner_not_ready(
    admin: KubeApi, namespace: str, repo: GitRepo
) -> None:
    owner = await deploy(admin, repo, namespace)
    repo.commit({"app/configmap.yaml": None}, "Forget a file")
    await reconcile(admin, Ref(gitops.SOURCE_API, "GitRepository", "fleet", namespace))

    async def failed() -> Object | None:
        ready = condition(await admin.get(owner), "Ready")
        return ready if ready and ready["status"] == "False" else None

    assert (await until(failed, "the owner is not Ready"))["reason"] == "BuildFailed"


async def test_a_service_account_has_the_rights_that_it_is_given_and_its_writes_are_audited(
    cluster: Cluster, admin: KubeApi, namespace: str, tmp_path: Path
) -> None:
    manifests = tmp_path / "rights.yaml"
    manifests.write_text(
        f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: painter, namespace: {namespace}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: painter, namespace: {namespace}}}
rules:
- {{apiGroups: [""], resources: [configmaps], verbs: [create, patch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: painter, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: painter}}
subjects: [{{kind: ServiceAccount, name: painter, namespace: {namespace}}}]
"""
    )
    await admin.apply_yaml(manifests)
    token = await admin.create_token(namespace, "painter")
    user = f"system:serviceaccount:{namespace}:painter"
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "paint", "namespace": namespace}}
    async with KubeApi(cluster.control_plane.token_credentials(user, token)) as painter:
        await painter.create({**config, "data": {"color": "blue"}})
        with pytest.raises(ApiError, match="cannot list resource") as refused:
            await painter.list("v1", "Secret", namespace)
    assert refused.value.code == 403
    audited = [(event["verb"], event["responseStatus"]["code"]) for event in cluster.audit_events(user)]
    assert ("create", 201) in audited
    assert ("list", 403) in audited


async def test_a_validating_admission_policy_refuses_what_it_forbids(
    admin: KubeApi, alice: KubeApi, namespace: str
) -> None:
    text = f"""
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {namespace}}}
spec:
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}
    resourceRules:
    - {{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}}
  validations:
  - {{expression: "request.userInfo.username != 'alice'", message: not alice}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {namespace}}}
spec: {{policyName: {namespace}, validationActions: [Deny]}}
"""
    policy, binding = await admin.apply_yaml(text)

    async def refusal() -> ApiError | None:
        name = f"probe-{os.urandom(4).hex()}"
        probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}
        try:
            await alice.create(probe)
        except ApiError as error:
            return error
        return None

    assert "not alice" in str(await until(refusal, "the policy takes effect"))
    for obj in (binding, policy):
        await admin.delete(Ref.of(obj))


async def test_a_watch_from_before_the_apiserver_restarted_is_gone(
    cluster: Cluster, admin: KubeApi, namespace: str
) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": namespace}}
    version = (await admin.create(config))["metadata"]["resourceVersion"]
    await admin.patch(Ref.of(config), {"data": {"n": "1"}})
    async with aclosing(admin.watch("v1", "ConfigMap", namespace, resource_version=version)) as watch:
        async for event in watch:
            if (event.type, event.object["metadata"].get("name")) == ("MODIFIED", "one"):
                break

    await asyncio.to_thread(cluster.apiserver.restart)

    async def refusal() -> int | None:
        with pytest.raises(ApiError) as refused:
            await anext(admin.watch("v1", "ConfigMap", namespace, resource_version=version, timeout_seconds=5))
        # Until it has read what there is, the server asks to come again.
        return None if refused.value.code == HTTPStatus.TOO_MANY_REQUESTS else refused.value.code

    assert await until(refusal, "the watch is refused") == GONE


async def test_two_clusters_run_at_once_and_are_not_the_same(cluster: Cluster, admin: KubeApi, tmp_path: Path) -> None:
    other = await asyncio.to_thread(Cluster, tmp_path, print, with_flux=False)
    await asyncio.to_thread(other.start)
    try:
        async with other.api() as admin_of_other:
            uids = [(await api.get(KUBE_SYSTEM))["metadata"]["uid"] for api in (admin, admin_of_other)]
            with pytest.raises(ApiError, match="404"):
                await admin_of_other.list(gitops.KUSTOMIZE_API, "Kustomization")
    finally:
        await asyncio.to_thread(other.stop)
    assert len(set(uids)) == 2
    assert not any(part.running for part in other.parts)
    assert all(part.running for part in cluster.parts)

"""What scenarios deploy by Flux: an application of a Kustomization, or of a HelmRelease, in a namespace of its own."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.parts import gitops
from tests.parts.discovery import Object, Ref
from tests.parts.flux import is_ready, reconcile, request_reconcile, wait_ready
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.sites import Repository, Site

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
      - name: web
        image: "registry.invalid/web:1.0.0"
        env: [{name: COLOR, value: blue}]
        resources: {requests: {cpu: "0.5", memory: 1024Mi}}
"""
CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue, level: info}
"""
APP = {"app/deployment.yaml": DEPLOYMENT, "app/settings.yaml": CONFIG_MAP}
CHART = {
    "charts/demo/Chart.yaml": "apiVersion: v2\nname: demo\nversion: 0.1.0\n",
    "charts/demo/values.yaml": "color: blue\n",
    "charts/demo/templates/configmap.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-config'}\n"
        "data: {color: '{{ .Values.color }}', plane: edge}\n"
    ),
}


@dataclass(frozen=True)
class App:
    """Something that Flux keeps in step with a repository."""

    site: Site
    namespace: str
    repository: Repository
    source: Ref
    owner: Ref
    revision: str
    """Of the first commit, as Flux names it."""

    def ref(self, kind: str, name: str) -> Ref:
        """Name one of its objects."""
        api_versions = {"Deployment": "apps/v1", "HorizontalPodAutoscaler": "autoscaling/v2"}
        return Ref(api_versions.get(kind, "v1"), kind, name, self.namespace)

    @property
    def web(self) -> Ref:
        """The Deployment."""
        return self.ref("Deployment", "web")

    @property
    def settings(self) -> Ref:
        """The ConfigMap."""
        return self.ref("ConfigMap", "settings")

    async def reconcile(self) -> Object:
        """Ask for a reconcile and return the owner once it was handled and is at rest."""
        await reconcile(self.site.admin, self.owner)
        return await self.at_rest()

    async def fetch(self) -> None:
        """Have the source fetched."""
        await reconcile(self.site.admin, self.source)

    async def roll_out(self, files: Mapping[str, str | None], message: str) -> str:
        """Commit, have it fetched, and return the revision once it is applied."""
        revision = await self.repository.commit(files, message)
        await request_reconcile(self.site.admin, self.source)

        async def applied() -> bool:
            owner = await self.site.admin.get(self.owner)
            return bool(owner["status"].get("lastAppliedRevision") == revision and is_ready(owner))

        await until(applied, f"{revision} is applied")
        return revision

    async def at_rest(self) -> Object:
        """Return the owner once it is Ready, Suspended or failed for now."""

        async def settled() -> Object | None:
            owner = await self.site.admin.get(self.owner)
            conditions = {c["type"]: c["status"] for c in owner.get("status", {}).get("conditions", [])}
            return None if conditions.get("Reconciling") == "True" or conditions.get("Ready") == "Unknown" else owner

        return await until(settled, f"{self.owner.kind} {self.owner.name} is at rest")


async def deploy(site: Site, files: dict[str, str] | None = None, *, prune: bool = True) -> App:
    """Deploy a Kustomization in a new namespace, and return once Flux has applied it.

    `$NAMESPACE` in a file's text is replaced by the namespace's name.
    """
    namespace, repository, revision, source = await _source(site, APP if files is None else files)
    owner = await site.admin.create(gitops.kustomization("app", source, "./app", prune=prune))
    await wait_ready(site.admin, Ref.of(owner))
    return App(site, namespace, repository, Ref.of(source), Ref.of(owner), revision)


async def release(site: Site, drift_detection: str | None, chart: dict[str, str] | None = None) -> App:
    """Deploy a HelmRelease in a new namespace, and return once it is installed."""
    namespace, repository, revision, source = await _source(site, CHART | (chart or {}))
    wanted = gitops.helm_release(
        "demo", source, "./charts/demo", drift_detection=drift_detection, values={"color": "blue"}
    )
    owner = await site.admin.create(wanted)
    await wait_ready(site.admin, Ref.of(owner))
    return App(site, namespace, repository, Ref.of(source), Ref.of(owner), revision)


async def _source(site: Site, files: dict[str, str]) -> tuple[str, Repository, str, Any]:
    namespace = f"e2e-{secrets.token_hex(4)}"
    await site.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    repository = await site.repository()
    named = {path: text.replace("$NAMESPACE", namespace) for path, text in files.items()}
    revision = await repository.commit(named, "Deploy the application")
    source = await site.admin.create(gitops.git_repository("fleet", namespace, repository.url))
    await wait_ready(site.admin, Ref.of(source))
    return namespace, repository, revision, source

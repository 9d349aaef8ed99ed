"""Flux's source-controller as observed: GitRepository artifacts, and HelmCharts packaged from them."""

from abdrift.simulation.git import Commit
from abdrift.simulation.kinds import Kind
from abdrift.simulation.objects import Object, digest, name_of, namespace_of
from abdrift.simulation.runtime import Reconciler, drop_conditions, set_condition
from abdrift.simulation.storage import Change, Key

_REVISION = "source.toolkit.fluxcd.io/revision"
_DIGEST = "source.toolkit.fluxcd.io/digest"


def artifact_sha(source: Object) -> str:
    """Give the commit of a GitRepository's artifact, empty if it has none."""
    revision = str(((source.get("status") or {}).get("artifact") or {}).get("revision", ""))
    return revision.partition("@sha1:")[2]


class GitRepositoryReconciler(Reconciler):
    """Fetches heads: on its interval, on a new spec, on request."""

    kind_name = "GitRepository"
    manager = "source-controller"

    def begin(self, key: Key, obj: Object) -> None:
        """Fetch unless suspended."""
        if obj["spec"].get("suspend"):
            self.handle_request(obj)
            self.write_status(obj)
            self.done(key)
            return
        self.runtime.schedule.after(self.runtime.random.uniform(0.05, 0.15), lambda: self._fetch(key))

    def _fetch(self, key: Key) -> None:
        obj = self.runtime.api.find(self.kind, *key)
        if obj is not None:
            branch = (obj["spec"].get("ref") or {}).get("branch", "master")
            repository = self.runtime.git.repositories.get(obj["spec"]["url"])
            if repository is None or repository.unreachable or branch not in repository.branches:
                self._fail(obj, branch)
            else:
                self._store(obj, branch, repository.head(branch))
        self.done(key)

    def _fail(self, obj: Object, branch: str) -> None:
        message = f"failed to checkout and determine revision: unable to list remote for '{obj['spec']['url']}'"
        for kind, status in (("Ready", "False"), ("FetchFailed", "True")):
            set_condition(obj, kind, status, "GitOperationFailed", message, time=self.time())
        self.handle_request(obj)
        self.write_status(obj)
        self.runtime.events.record(obj, self.manager, "GitOperationFailed", f"{message} (branch {branch})")

    def _store(self, obj: Object, branch: str, head: Commit) -> None:
        revision = f"{branch}@sha1:{head.sha}"
        status = obj["status"]
        is_new = (status.get("artifact") or {}).get("revision") != revision
        content = digest(head.sha)
        if is_new:
            path = f"gitrepository/{namespace_of(obj)}/{name_of(obj)}/{head.sha}.tar.gz"
            status["artifact"] = {
                "digest": content,
                "lastUpdateTime": self.time(),
                "path": path,
                "revision": revision,
                "size": 1024,
                "url": f"http://source-controller.flux-system.svc.cluster.local./{path}",
            }
        for kind in ("Ready", "ArtifactInStorage"):
            set_condition(
                obj, kind, "True", "Succeeded", f"stored artifact for revision '{revision}'", time=self.time()
            )
        drop_conditions(obj, ("FetchFailed",))
        status["observedGeneration"] = obj["metadata"]["generation"]
        self.handle_request(obj)
        self.write_status(obj)
        if is_new:
            message = f"stored artifact for commit '{head.message.splitlines()[0]}'"
            self.runtime.events.record(
                obj, self.manager, "NewArtifact", message, {_DIGEST: content, _REVISION: revision}
            )


class HelmChartReconciler(Reconciler):
    """Packages charts out of a GitRepository's artifact."""

    kind_name = "HelmChart"
    manager = "source-controller"

    def observe(self, kind: Kind, change: Change) -> None:
        """Repackage the charts of a source's new artifact."""
        super().observe(kind, change)
        if kind.name != "GitRepository" or change.new is None:
            return
        source = change.new.value()
        if change.old is not None and artifact_sha(change.old.value()) == artifact_sha(source):
            return
        for chart in self.runtime.api.list(self.kind):
            followed = (namespace_of(chart), chart["spec"]["sourceRef"]["name"])
            if followed == (namespace_of(source), name_of(source)):
                self.enqueue((namespace_of(chart), name_of(chart)))

    def begin(self, key: Key, obj: Object) -> None:  # noqa: ARG002  the base class hands it over
        """Package after a moment."""
        self.runtime.schedule.after(self.runtime.random.uniform(0.05, 0.15), lambda: self._package(key))

    def _package(self, key: Key) -> None:
        obj = self.runtime.api.find(self.kind, *key)
        if obj is not None:
            self._packaged(obj)
        self.done(key)

    def _packaged(self, obj: Object) -> None:
        source = self.runtime.api.find(
            self.runtime.kind("GitRepository"), namespace_of(obj), obj["spec"]["sourceRef"]["name"]
        )
        sha = artifact_sha(source) if source else ""
        if source is None or not sha:
            message = "no artifact available for GitRepository source"
            set_condition(obj, "Ready", "False", "NoSourceArtifact", message, time=self.time())
            self.write_status(obj)
            return
        commit = self.runtime.git.repositories[source["spec"]["url"]].find(sha)
        chart = commit.tree[f"{obj['spec']['chart'].removeprefix('./')}/Chart.yaml"][0]
        by_revision = obj["spec"].get("reconcileStrategy") == "Revision"
        version = f"{chart['version']}+{sha[:12]}" if by_revision else chart["version"]
        status = obj["status"]
        is_new = (status.get("artifact") or {}).get("revision") != version
        message = f"packaged '{chart['name']}' chart with version '{version}'"
        status |= {
            "artifact": {"digest": digest(version), "revision": version, "lastUpdateTime": self.time()},
            "observedChartName": chart["name"],
            "observedSourceArtifactRevision": source["status"]["artifact"]["revision"],
            "observedGeneration": obj["metadata"]["generation"],
        }
        for kind in ("Ready", "ArtifactInStorage"):
            set_condition(obj, kind, "True", "ChartPackageSucceeded", message, time=self.time())
        self.handle_request(obj)
        self.write_status(obj)
        if is_new:
            notes = {_DIGEST: status["artifact"]["digest"], _REVISION: version}
            self.runtime.events.record(obj, self.manager, "ChartPackageSucceeded", message, notes)

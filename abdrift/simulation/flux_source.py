"""Flux's source-controller as observed: GitRepository artifacts, and HelmCharts packaged from them."""

from abdrift.simulation.git import Commit
from abdrift.simulation.kinds import Kind
from abdrift.simulation.objects import Object, digest, name_of, namespace_of
from abdrift.simulation.runtime import Reconciler, Runtime, drop_conditions, set_condition
from abdrift.simulation.storage import Change, Key

_REVISION = "source.toolkit.fluxcd.io/revision"
_DIGEST = "source.toolkit.fluxcd.io/digest"
_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.75, 900.0
_MAX_DOUBLINGS = 16


def artifact_sha(source: Object) -> str:
    """Give the commit of a GitRepository's artifact, empty if it has none."""
    revision = str(((source.get("status") or {}).get("artifact") or {}).get("revision", ""))
    return revision.partition("@sha1:")[2]


class GitRepositoryReconciler(Reconciler):
    """Fetches heads: on its interval, on a new spec, on request, and after a failure ever more slowly."""

    kind_name = "GitRepository"
    manager = status_manager = "source-controller"

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self._failures: dict[Key, int] = {}

    def begin(self, key: Key, obj: Object) -> None:
        """Fetch unless suspended."""
        if obj["spec"].get("suspend"):
            self.handle_request(obj)
            self.write_status(obj, lambda: self.done(key))
            return
        self.runtime.schedule.after(self.runtime.random.uniform(0.05, 0.15), lambda: self._fetch(key))

    def _fetch(self, key: Key) -> None:
        obj = self.runtime.api.find(self.kind, *key)
        if obj is None:
            self._failures.pop(key, None)
            self.done(key)
            return
        branch = (obj["spec"].get("ref") or {}).get("branch", "master")
        repository = self.runtime.git.repositories.get(obj["spec"]["url"])
        if repository is None or repository.unreachable:
            self._fail(key, obj, f"unable to list remote for '{obj['spec']['url']}'")
        elif branch not in repository.branches:
            self._fail(key, obj, f'couldn\'t find remote ref "refs/heads/{branch}"')
        else:
            self._failures.pop(key, None)
            self._build(key, obj, branch, repository.head(branch))

    def _fail(self, key: Key, obj: Object, cause: str) -> None:
        message = f"failed to checkout and determine revision: {cause}"
        for kind, status in (("Ready", "False"), ("FetchFailed", "True")):
            set_condition(obj, kind, status, "GitOperationFailed", message, time=self.time())
        progress = "reconciliation in progress"
        set_condition(obj, "Reconciling", "True", "ProgressingWithRetry", progress, time=self.time())
        self.handle_request(obj)
        self.runtime.events.record(obj, self.manager, "GitOperationFailed", message)
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        seconds = min(_MAX_RETRY_SECONDS, _MIN_RETRY_SECONDS * 2.0 ** min(failures - 1, _MAX_DOUBLINGS))
        self.write_status(obj, lambda: self.done(key, seconds))

    def _build(self, key: Key, obj: Object, branch: str, head: Commit) -> None:
        """Say that a new revision is being made an artifact, then make it one."""
        revision = f"{branch}@sha1:{head.sha}"
        artifact = obj["status"].get("artifact") or {}
        if artifact.get("revision") == revision:
            self._store(key, obj, revision, head)
            return
        message = f"new upstream revision '{revision}'"
        if artifact:
            set_condition(obj, "ArtifactOutdated", "True", "NewRevision", message, time=self.time())
        for kind, status in (("Reconciling", "True"), ("Ready", "Unknown")):
            set_condition(obj, kind, status, "Progressing", f"building artifact: {message}", time=self.time())
        self.write_status(obj)
        seconds = self.runtime.random.uniform(0.02, 0.05)
        self.runtime.schedule.after(seconds, lambda: self._store(key, obj, revision, head))

    def _store(self, key: Key, obj: Object, revision: str, head: Commit) -> None:
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
        drop_conditions(obj, ("FetchFailed", "Reconciling", "ArtifactOutdated"))
        for kind in ("Ready", "ArtifactInStorage"):
            set_condition(
                obj, kind, "True", "Succeeded", f"stored artifact for revision '{revision}'", time=self.time()
            )
        status["observedGeneration"] = obj["metadata"]["generation"]
        self.handle_request(obj)
        if is_new:
            message = f"stored artifact for commit '{head.message.splitlines()[0]}'"
            self.runtime.events.record(
                obj, self.manager, "NewArtifact", message, {_DIGEST: content, _REVISION: revision}
            )
        self.write_status(obj, lambda: self.done(key))


class SourceFollower(Reconciler):
    """Reconciles what is made of a GitRepository when it has a new artifact, after `follows_after_seconds`."""

    follows_after_seconds = 0.02

    def observe(self, kind: Kind, change: Change) -> None:
        """Reconcile what rests on a source's new artifact."""
        super().observe(kind, change)
        if kind.name != "GitRepository" or change.new is None:
            return
        source = change.new.value()
        if change.old is not None and artifact_sha(change.old.value()) == artifact_sha(source):
            return
        for obj in self.runtime.api.list(self.kind):
            ref = obj["spec"]["sourceRef"]
            if (ref.get("namespace") or namespace_of(obj), ref["name"]) == (namespace_of(source), name_of(source)):
                self.enqueue((namespace_of(obj), name_of(obj)), self.follows_after_seconds)


class HelmChartReconciler(SourceFollower):
    """Packages charts out of a GitRepository's artifact."""

    kind_name = "HelmChart"
    manager = status_manager = "source-controller"

    def begin(self, key: Key, obj: Object) -> None:  # noqa: ARG002  the base class hands it over
        """Package after a moment."""
        self.runtime.schedule.after(self.runtime.random.uniform(0.05, 0.15), lambda: self._package(key))

    def _package(self, key: Key) -> None:
        obj = self.runtime.api.find(self.kind, *key)
        if obj is None:
            self.done(key)
            return
        source = self.runtime.api.find(
            self.runtime.kind("GitRepository"), namespace_of(obj), obj["spec"]["sourceRef"]["name"]
        )
        if source is None or not artifact_sha(source):
            self._not_ready(key, obj, source)
        else:
            self._packaged(key, obj, source)

    def _not_ready(self, key: Key, obj: Object, source: Object | None) -> None:
        name = obj["spec"]["sourceRef"]["name"]
        reason, message = "NoSourceArtifact", f"no artifact available for GitRepository source '{name}'"
        if source is None:
            absent = f'gitrepositories.source.toolkit.fluxcd.io "{name}" not found'
            reason, message = "SourceUnavailable", f"failed to get source: {absent}"
        for kind, status in (("Ready", "False"), ("FetchFailed", "True")):
            set_condition(obj, kind, status, reason, message, time=self.time())
        self.handle_request(obj)
        self.write_status(obj, lambda: self.done(key, _MIN_RETRY_SECONDS))

    def _packaged(self, key: Key, obj: Object, source: Object) -> None:
        sha = artifact_sha(source)
        commit = self.runtime.git.repositories[source["spec"]["url"]].find(sha)
        chart = commit.tree[f"{obj['spec']['chart'].removeprefix('./')}/Chart.yaml"][0]
        by_revision = obj["spec"].get("reconcileStrategy") == "Revision"
        version = f"{chart['version']}+{sha[:12]}" if by_revision else chart["version"]
        status = obj["status"]
        is_new = (status.get("artifact") or {}).get("revision") != version
        message = f"packaged '{chart['name']}' chart with version '{version}'"
        if is_new:
            status["artifact"] = {"digest": digest(version), "revision": version, "lastUpdateTime": self.time()}
        status |= {
            "observedChartName": chart["name"],
            "observedSourceArtifactRevision": source["status"]["artifact"]["revision"],
            "observedGeneration": obj["metadata"]["generation"],
        }
        drop_conditions(obj, ("FetchFailed",))
        for kind in ("Ready", "ArtifactInStorage"):
            set_condition(obj, kind, "True", "ChartPackageSucceeded", message, time=self.time())
        self.handle_request(obj)
        if is_new:
            notes = {_DIGEST: status["artifact"]["digest"], _REVISION: version}
            self.runtime.events.record(obj, self.manager, "ChartPackageSucceeded", message, notes)
        self.write_status(obj, lambda: self.done(key))

"""Flux's helm-controller as observed in 1.4: install, upgrade, test, rollback, uninstall, drift detection."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from abdrift.simulation import helm_objects, helm_release
from abdrift.simulation.apiserver import Options, Target
from abdrift.simulation.errors import ApiError
from abdrift.simulation.git import Commit
from abdrift.simulation.helm_objects import Owner
from abdrift.simulation.helm_release import Release
from abdrift.simulation.kinds import Kind
from abdrift.simulation.objects import Object, annotations_of, condition, digest, name_of, namespace_of
from abdrift.simulation.runtime import (
    FINALIZER,
    FORCE_AT,
    REQUESTED_AT,
    RESET_AT,
    Reconciler,
    Runtime,
    drop_conditions,
    set_condition,
)
from abdrift.simulation.schedule import NANOSECONDS
from abdrift.simulation.storage import Change, Key

_HISTORY_LIMIT = 5
_DONE: Mapping[str, tuple[str, str]] = {
    "install": ("InstallSucceeded", "InstallFailed"),
    "upgrade": ("UpgradeSucceeded", "UpgradeFailed"),
    "rollback": ("RollbackSucceeded", "RollbackFailed"),
    "test": ("TestSucceeded", "TestFailed"),
}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a HelmRelease asks for at this moment."""

    owner: Owner
    chart_name: str
    chart_version: str
    objects: list[Object]
    """Marked as Helm sends them."""
    templates: tuple[Object, ...]
    """As the release Secret keeps them."""
    values: Object


class HelmReleaseReconciler(Reconciler):
    """Keeps releases: on their interval, a new chart, a new spec, or request."""

    kind_name = "HelmRelease"
    manager = status_manager = "helm-controller"

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self._releases: dict[tuple[Key, int], Release] = {}

    def observe(self, kind: Kind, change: Change) -> None:
        """Reconcile the release that a repackaged chart belongs to."""
        super().observe(kind, change)
        if kind.name != "HelmChart" or change.new is None:
            return
        new = change.new.value().get("status", {}).get("artifact")
        if new and (change.old is None or change.old.value().get("status", {}).get("artifact") != new):
            for obj in self.runtime.api.list(self.kind):
                if self._chart_name(obj) == change.new.key[1]:
                    self.enqueue((namespace_of(obj), name_of(obj)))

    @staticmethod
    def _chart_name(obj: Object) -> str:
        return f"{namespace_of(obj)}-{name_of(obj)}"

    def begin(self, key: Key, obj: Object) -> None:
        """Settle deletion and suspension, make sure of the chart, then act after a moment."""
        if obj["metadata"].get("deletionTimestamp"):
            self._uninstall(key, obj)
            return
        if FINALIZER not in obj["metadata"].get("finalizers", []):
            self.set_finalizer(obj, present=True)
        if obj["spec"].get("suspend"):
            self.handle_request(obj)
            self.write_status(obj)
            self.done(key)
            return
        chart = self._ensure_chart(obj)
        if not (chart.get("status") or {}).get("artifact"):
            name = f"{namespace_of(chart)}/{name_of(chart)}"
            message = f"HelmChart '{name}' is not ready: latest generation of object has not been reconciled"
            set_condition(obj, "Ready", "False", "SourceNotReady", message, time=self.time())
            self.write_status(obj)
            self.done(key, 30.0)
            return
        self.runtime.schedule.after(self.runtime.random.uniform(0.08, 0.3), lambda: self._act(key, chart))

    def _ensure_chart(self, obj: Object) -> Object:
        kind = self.runtime.kind("HelmChart")
        name, namespace = self._chart_name(obj), namespace_of(obj)
        found = self.runtime.api.find(kind, namespace, name)
        if found is not None:
            return found
        wanted = obj["spec"]["chart"]["spec"]
        spec = {"interval": obj["spec"]["interval"], "version": "*", "reconcileStrategy": "ChartVersion", **wanted}
        labels = {f"{helm_objects.GROUP}/name": name_of(obj), f"{helm_objects.GROUP}/namespace": namespace}
        chart = {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec}
        created = self.runtime.api.create(kind, namespace, chart, Options(self.manager))
        ref = wanted["sourceRef"]
        message = f"Created HelmChart/{namespace}/{name} with SourceRef '{ref['kind']}/{namespace}/{ref['name']}'"
        self.runtime.events.record(obj, self.manager, "HelmChartCreated", message)
        return created

    def _commit(self, chart: Object) -> Commit:
        revision = chart["status"]["observedSourceArtifactRevision"]
        source = self.runtime.api.get(
            self.runtime.kind("GitRepository"), namespace_of(chart), chart["spec"]["sourceRef"]["name"]
        )
        return self.runtime.git.repositories[source["spec"]["url"]].find(revision.partition("@sha1:")[2])

    def _wanted(self, obj: Object, chart: Object) -> _Wanted:
        spec = obj["spec"]
        release = spec.get("releaseName") or name_of(obj)
        owner = Owner(name_of(obj), namespace_of(obj), release, spec.get("targetNamespace") or namespace_of(obj))
        values = spec.get("values") or {}
        templates = helm_release.render(self._commit(chart), chart["spec"]["chart"], release, values)
        objects = [helm_objects.marked(self.runtime.api, owner, each) for each in templates]
        artifact = chart["status"]["artifact"]
        return _Wanted(owner, chart["status"]["observedChartName"], artifact["revision"], objects, templates, values)

    def _act(self, key: Key, chart: Object) -> None:
        obj = self.runtime.api.find(self.kind, *key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            self.done(key, 0.0)
            return
        wanted = self._wanted(obj, chart)
        status, notes = obj["status"], annotations_of(obj)
        requested = notes.get(REQUESTED_AT)
        forced = bool(requested) and notes.get(FORCE_AT) == requested != status.get("lastHandledForceAt")
        if requested and notes.get(RESET_AT) == requested != status.get("lastHandledResetAt"):
            status["lastHandledResetAt"] = requested
            for field in ("failures", "installFailures", "upgradeFailures"):
                status.pop(field, None)
        attempted = (wanted.chart_version, digest(wanted.values))
        is_new = attempted != (status.get("lastAttemptedRevision"), status.get("lastAttemptedConfigDigest"))
        if is_new or forced:
            if forced:
                status["lastHandledForceAt"] = requested
            status |= {"lastAttemptedRevision": attempted[0], "lastAttemptedConfigDigest": attempted[1]}
            self._release(obj, wanted)
        elif condition(obj, "Ready").get("status") == "True":
            self._detect_drift(obj, wanted)
        self._finish(key, obj)

    def _finish(self, key: Key, obj: Object) -> None:
        status = obj["status"]
        ready = condition(obj, "Ready")
        ready["observedGeneration"] = obj["metadata"]["generation"]
        status |= {
            "helmChart": f"{namespace_of(obj)}/{self._chart_name(obj)}",
            "lastAttemptedGeneration": obj["metadata"]["generation"],
            "observedGeneration": obj["metadata"]["generation"],
            "storageNamespace": obj["spec"].get("targetNamespace") or namespace_of(obj),
        }
        self.handle_request(obj)
        self.write_status(obj)
        self.done(key)

    def _release(self, obj: Object, wanted: _Wanted) -> None:
        """Install or upgrade, then test; roll back where a failed upgrade is to be remediated."""
        history = obj["status"].get("history") or []
        previous = self._releases.get(((namespace_of(obj), name_of(obj)), history[0]["version"])) if history else None
        action = "upgrade" if history else "install"
        now = self.time()
        release = Release(
            name=wanted.owner.release,
            namespace=wanted.owner.release_namespace,
            version=history[0]["version"] + 1 if history else 1,
            chart_name=wanted.chart_name,
            chart_version=wanted.chart_version,
            status="deployed",
            first_deployed=history[-1]["firstDeployed"] if history else now,
            last_deployed=now,
            objects=wanted.templates,
            values=wanted.values,
        )
        obj["status"]["lastAttemptedReleaseAction"] = action
        drop_conditions(obj, ("Remediated", "TestSuccess", "Stalled"))
        try:
            self._carry_out(wanted, previous)
        except ApiError as error:
            self._store(obj, replace(release, status="failed"))
            self._fail(obj, release, action, str(error))
            self._remediate(obj, wanted, previous, action)
            return
        self._store(obj, release)
        self._succeed(obj, release, action)
        if (obj["spec"].get("test") or {}).get("enable"):
            self._test(obj, release)

    def _carry_out(self, wanted: _Wanted, previous: Release | None) -> None:
        api = self.runtime.api
        if previous is None:
            helm_objects.install(api, wanted.objects)
            return
        old = [helm_objects.marked(api, wanted.owner, each) for each in previous.objects]
        helm_objects.upgrade(api, old, wanted.objects)

    def _store(self, obj: Object, release: Release) -> None:
        """Keep the release's Secret and the HelmRelease's history; what was deployed is superseded."""
        api, kind = self.runtime.api, self.runtime.kind("Secret")
        key = (namespace_of(obj), name_of(obj))
        history = obj["status"].get("history") or []
        if release.status == "deployed":
            for each in history:
                if each["status"] == "deployed":
                    each["status"] = "superseded"
                    self._supersede(release, each["version"])
        seconds = self.runtime.schedule.now_ns() // NANOSECONDS
        api.create(kind, release.namespace, helm_release.secret(release, seconds), Options("helm-controller"))
        self._releases[key, release.version] = release
        self._releases.pop((key, release.version - _HISTORY_LIMIT), None)
        snapshot = {
            "chartName": release.chart_name,
            "chartVersion": release.chart_version,
            "configDigest": digest(release.values),
            "digest": digest([release.title, release.status, release.objects]),
            "firstDeployed": release.first_deployed,
            "lastDeployed": release.last_deployed,
            "name": release.name,
            "namespace": release.namespace,
            "status": release.status,
            "version": release.version,
        }
        obj["status"]["history"] = [snapshot, *history][:_HISTORY_LIMIT]

    def _supersede(self, release: Release, version: int) -> None:
        kind = self.runtime.kind("Secret")
        name = replace(release, version=version).secret_name
        secret = self.runtime.api.find(kind, release.namespace, name)
        if secret is not None:
            secret["metadata"]["labels"]["status"] = "superseded"
            self.runtime.api.replace(Target(kind, release.namespace, name), secret, Options("helm-controller"))

    def _conclude(self, obj: Object, kinds: tuple[str, ...], status: str, reason: str, message: str) -> None:
        for kind in kinds:
            set_condition(obj, kind, status, reason, message, time=self.time())

    def _say(self, obj: Object, reason: str, message: str) -> None:
        notes = {
            f"{helm_objects.GROUP}/revision": obj["status"].get("lastAttemptedRevision", ""),
            f"{helm_objects.GROUP}/token": obj["status"].get("lastAttemptedConfigDigest", ""),
        }
        self.runtime.events.record(obj, self.manager, reason, message, notes)

    def _succeed(self, obj: Object, release: Release, action: str) -> None:
        reason = _DONE[action][0]
        message = f"Helm {action} succeeded for release {release.title} with chart {release.chart}"
        self._conclude(obj, ("Ready", "Released"), "True", reason, message)
        for field in ("failures", "installFailures", "upgradeFailures"):
            obj["status"].pop(field, None)
        self._say(obj, reason, message)

    def _fail(self, obj: Object, release: Release, action: str, error: str) -> None:
        reason = _DONE[action][1]
        message = (
            f"Helm {action} failed for release {release.namespace}/{release.name} with chart {release.chart}: {error}"
        )
        self._conclude(obj, ("Ready", "Released"), "False", reason, message)
        status = obj["status"]
        for field in ("failures", f"{action}Failures"):
            status[field] = status.get(field, 0) + 1
        self._say(obj, reason, message)

    def _remediate(self, obj: Object, wanted: _Wanted, previous: Release | None, action: str) -> None:
        """Without retries left the release is stalled; a failed upgrade is rolled back if that is asked for."""
        asked = (obj["spec"].get(action) or {}).get("remediation") or {}
        if previous is not None and asked.get("remediateLastFailure"):
            objects = [helm_objects.marked(self.runtime.api, wanted.owner, each) for each in previous.objects]
            helm_objects.install(self.runtime.api, objects)
            version = obj["status"]["history"][0]["version"] + 1
            back = replace(previous, version=version, last_deployed=self.time())
            self._store(obj, back)
            message = f"Helm rollback to previous release {previous.title} with chart {previous.chart} succeeded"
            self._conclude(obj, ("Remediated",), "True", "RollbackSucceeded", message)
            ready = condition(obj, "Ready")
            ready |= {"reason": "RollbackSucceeded", "message": message}
            self._say(obj, "RollbackSucceeded", message)
        message = f"Failed to {action} after {obj['status']['failures']} attempt(s)"
        self._conclude(obj, ("Stalled",), "True", "RetriesExceeded", message)

    def _test(self, obj: Object, release: Release) -> None:
        failing = any(annotations_of(each).get("simulation/test") == "fails" for each in release.objects)
        words = "failed" if failing else "succeeded"
        reason = _DONE["test"][failing]
        detail = "1 test hook failed" if failing else "1 test hook completed successfully"
        message = f"Helm test {words} for release {release.title} with chart {release.chart}: {detail}"
        self._conclude(obj, ("TestSuccess", "Ready"), "False" if failing else "True", reason, message)
        self._say(obj, reason, message)

    def _detect_drift(self, obj: Object, wanted: _Wanted) -> None:
        detection = obj["spec"].get("driftDetection") or {}
        mode = detection.get("mode", "disabled")
        if mode == "disabled":
            return
        ignored = [path for rule in detection.get("ignore") or () for path in rule["paths"]]
        lines, drifted = helm_objects.drift(self.runtime.api, wanted.objects, ignored)
        if not drifted:
            return
        latest = obj["status"]["history"][0]
        title = f"{latest['namespace']}/{latest['name']}.v{latest['version']}"
        said = "\n".join(lines)
        message = f"Cluster state of release {title} has drifted from the desired state:\n{said}"
        self.runtime.events.record(obj, self.manager, "DriftDetected", message)
        if mode == "enabled":
            helm_objects.install(self.runtime.api, drifted)
            done = "\n".join(
                f"{line.split(' ')[0]} {'created' if line.endswith(' removed') else 'configured'}" for line in lines
            )
            self._say(obj, "DriftCorrected", f"Cluster state of release {title} has been corrected:\n{done}")

    def _uninstall(self, key: Key, obj: Object) -> None:
        api, status = self.runtime.api, obj.get("status") or {}
        for each in status.get("history") or ():
            release = self._releases.pop((key, each["version"]), None)
            if release is not None and not obj["spec"].get("suspend"):
                owner = Owner(name_of(obj), namespace_of(obj), release.name, release.namespace)
                helm_objects.delete(api, [helm_objects.marked(api, owner, part) for part in release.objects])
                kind = self.runtime.kind("Secret")
                if api.find(kind, release.namespace, release.secret_name) is not None:
                    api.delete(Target(kind, release.namespace, release.secret_name), Options(self.manager))
        chart_kind = self.runtime.kind("HelmChart")
        if api.find(chart_kind, namespace_of(obj), self._chart_name(obj)) is not None:
            api.delete(Target(chart_kind, namespace_of(obj), self._chart_name(obj)), Options(self.manager))
        if FINALIZER in obj["metadata"].get("finalizers", []):
            self.set_finalizer(obj, present=False)
        self.done(key)

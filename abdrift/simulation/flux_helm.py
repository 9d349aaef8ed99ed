"""Flux's helm-controller as read and observed in 1.4: which action a HelmRelease needs next, and what it says of it."""

import math

from abdrift.simulation import helm_objects, helm_release, helm_status
from abdrift.simulation.apiserver import Options, Target
from abdrift.simulation.git import Commit
from abdrift.simulation.helm_actions import HelmActions, Wanted
from abdrift.simulation.helm_objects import Owner
from abdrift.simulation.kinds import Kind
from abdrift.simulation.objects import Object, condition, digest, name_of, namespace_of
from abdrift.simulation.runtime import FINALIZER, Reconciler, Runtime, drop_conditions, set_condition
from abdrift.simulation.schedule import go_duration, parse_duration_seconds
from abdrift.simulation.storage import Change, Key

_REMEDIATIONS = ("rollback", "uninstall")
_CORRECT = "correct cluster drift"
_CHART_RETRY_SECONDS = 30.0
_REQUEUE_SECONDS = 0.75


class HelmReleaseReconciler(Reconciler):
    """Keeps releases: on their interval, a new chart, a new spec, or request."""

    kind_name = "HelmRelease"
    manager = status_manager = "helm-controller"

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self._actions = HelmActions(runtime)

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
            obj["status"]["observedGeneration"] = obj["metadata"]["generation"]
            self.handle_request(obj)
            self.write_status(obj, lambda: self.done(key))
            return
        chart = self._apply_chart(obj)
        obj["status"]["helmChart"] = f"{namespace_of(chart)}/{name_of(chart)}"
        helm_status.progress(obj, "Fulfilling prerequisites", self.time())
        if not (chart.get("status") or {}).get("artifact"):
            self._not_ready(key, obj, chart)
            return
        self.write_status(obj)
        self.runtime.schedule.after(self.runtime.random.uniform(0.05, 0.2), lambda: self._act(key, chart))

    def _not_ready(self, key: Key, obj: Object, chart: Object) -> None:
        why, ready = "latest generation of object has not been reconciled", condition(chart, "Ready")
        if ready.get("status") == "False":
            why = ready["message"]
        message = f"HelmChart '{namespace_of(chart)}/{name_of(chart)}' is not ready: {why}"
        set_condition(obj, "Ready", "False", "SourceNotReady", message, time=self.time())
        self.handle_request(obj)
        self.write_status(obj, lambda: self.done(key, _CHART_RETRY_SECONDS))

    def _apply_chart(self, obj: Object) -> Object:
        """Apply the HelmChart of a HelmRelease's template, labelled with its owner; the chart as it is now."""
        api, kind, namespace = self.runtime.api, self.runtime.kind("HelmChart"), namespace_of(obj)
        template = obj["spec"]["chart"]["spec"]
        target = Target(kind, namespace, self._chart_name(obj))
        labels = {f"{helm_objects.GROUP}/name": name_of(obj), f"{helm_objects.GROUP}/namespace": namespace}
        chart = {
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "metadata": {"name": target.name, "namespace": namespace, "labels": labels},
            "spec": {"interval": obj["spec"]["interval"], "version": "*", "reconcileStrategy": "ChartVersion"}
            | template,
        }
        before = api.find(kind, namespace, target.name)
        applied = api.apply(target, chart, Options(self.manager, force=True))
        if before is None or before["metadata"]["resourceVersion"] != applied["metadata"]["resourceVersion"]:
            ref, done = template["sourceRef"], "Configured" if before else "Created"
            source = f"{ref['kind']}/{namespace}/{ref['name']}"
            message = f"{done} HelmChart/{namespace}/{target.name} with SourceRef '{source}'"
            self.runtime.events.record(obj, self.manager, f"HelmChart{done}", message)
        return applied

    def _commit(self, chart: Object) -> Commit:
        revision = chart["status"]["observedSourceArtifactRevision"]
        source = self.runtime.api.get(
            self.runtime.kind("GitRepository"), namespace_of(chart), chart["spec"]["sourceRef"]["name"]
        )
        return self.runtime.git.repositories[source["spec"]["url"]].find(revision.partition("@sha1:")[2])

    def _wanted(self, obj: Object, chart: Object) -> Wanted:
        spec = obj["spec"]
        release = spec.get("releaseName") or name_of(obj)
        owner = Owner(name_of(obj), namespace_of(obj), release, spec.get("targetNamespace") or namespace_of(obj))
        values = spec.get("values") or {}
        templates = helm_release.render(self._commit(chart), chart["spec"]["chart"], release, values)
        objects = [helm_objects.marked(self.runtime.api, owner, each) for each in templates]
        artifact = chart["status"]["artifact"]
        return Wanted(owner, chart["status"]["observedChartName"], artifact["revision"], objects, templates, values)

    def _act(self, key: Key, chart: Object) -> None:
        obj = self.runtime.api.find(self.kind, *key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            self.done(key, 0.0)
            return
        wanted = self._wanted(obj, chart)
        config = digest(wanted.values)
        helm_status.attempt(obj, wanted.chart_version, config, default_namespace=namespace_of(obj))
        self._proceed(key, obj, wanted, frozenset())

    def _proceed(self, key: Key, obj: Object, wanted: Wanted, ran: frozenset[str]) -> None:
        """Run the next action, as often as one is needed; each once at most."""
        action = self._next(obj, wanted, forced=helm_status.take_force_request(obj))
        if action == "stall":
            self._stall(key, obj)
        elif not action or action in ran or (action == "upgrade" and "install" in ran):
            self._finish(key, obj, again=bool(action) and action != _CORRECT)
        else:
            timeout = go_duration(parse_duration_seconds(obj["spec"].get("timeout") or "5m"))
            message = f"Running '{action}' action with timeout of {timeout}"
            helm_status.progress(obj, message, self.time(), releasing=action in ("install", "upgrade"))
            self.write_status(obj)
            seconds = self.runtime.random.uniform(0.03, 0.1)
            self.runtime.schedule.after(seconds, lambda: self._run(key, obj, wanted, action, ran))

    def _run(self, key: Key, obj: Object, wanted: Wanted, action: str, ran: frozenset[str]) -> None:
        self._actions.run(action, obj, wanted)
        if action not in _REMEDIATIONS:
            self.write_status(obj, lambda: self._proceed(key, obj, wanted, ran | {action}))
        elif helm_status.remediation(obj, obj["status"]["lastAttemptedReleaseAction"]).exhausted:
            self._stall(key, obj)
        else:
            self._finish(key, obj, again=True)

    def _next(self, obj: Object, wanted: Wanted, *, forced: bool) -> str:
        """Give the next action, `stall` if there may be none, or nothing if all is as it should be."""
        latest = helm_status.latest(obj)
        if not latest:
            return "stall" if helm_status.remediation(obj, "install").exhausted and not forced else "install"
        if latest["status"] == "failed" or (helm_status.test_failed(latest) and helm_status.tests_count(obj)):
            return self._after_failure(obj, forced=forced)
        if (latest["chartVersion"], latest["configDigest"]) != (wanted.chart_version, digest(wanted.values)):
            return "stall" if helm_status.remediation(obj, "upgrade").exhausted and not forced else "upgrade"
        if (obj["spec"].get("test") or {}).get("enable") and "testHooks" not in latest and not forced:
            return "test"
        helm_status.truncate(obj)
        if forced:
            return "upgrade"
        return _CORRECT if self._actions.drift(obj, wanted) else ""

    @staticmethod
    def _after_failure(obj: Object, *, forced: bool) -> str:
        attempted = obj["status"]["lastAttemptedReleaseAction"]
        asked = helm_status.remediation(obj, attempted)
        if asked.failures == 0 or forced:
            return "upgrade"
        if asked.exhausted and not asked.remediates_last:
            return "stall"
        if attempted == "install":
            return "uninstall"
        return "rollback" if helm_status.rollback_target(obj) else "stall"

    def _stall(self, key: Key, obj: Object) -> None:
        action = obj["status"]["lastAttemptedReleaseAction"]
        count = helm_status.remediation(obj, action).failures
        reason, message = "RetriesExceeded", f"Failed to {action} after {count} attempt(s)"
        if not helm_status.remediation(obj, action).exhausted:
            cause = "missing target release for rollback: cannot remediate failed release"
            reason, message = "MissingRollbackTarget", f"Failed to perform remediation: {cause}"
        helm_status.stall(obj, reason, message, self.time())
        self.handle_request(obj)
        # No interval brings a stalled release back, only a change or a request.
        self.write_status(obj, lambda: self.done(key, math.inf))

    def _finish(self, key: Key, obj: Object, *, again: bool) -> None:
        if again:
            helm_status.retry(obj, self.time())
        else:
            drop_conditions(obj, ("Reconciling",))
            helm_status.summarize(obj, self.time())
            obj["status"]["observedGeneration"] = obj["metadata"]["generation"]
        self.handle_request(obj)
        self.write_status(obj, lambda: self.done(key, _REQUEUE_SECONDS if again else None))

    def _uninstall(self, key: Key, obj: Object) -> None:
        api, kind, name = self.runtime.api, self.runtime.kind("HelmChart"), self._chart_name(obj)
        obj.setdefault("status", {})
        if not obj["spec"].get("suspend"):
            self._actions.uninstall(obj)
            if api.find(kind, namespace_of(obj), name) is not None:
                api.delete(Target(kind, namespace_of(obj), name), Options(self.manager))
                chart = f"{namespace_of(obj)}/{name}"
                self.runtime.events.record(obj, self.manager, "HelmChartDeleted", f"deleted HelmChart '{chart}'")
        if FINALIZER in obj["metadata"].get("finalizers", []):
            self.set_finalizer(obj, present=False)
        self.done(key)

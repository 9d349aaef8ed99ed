"""Flux's kustomize-controller as observed in 2.7: conditions, inventory, history, Events, and their order."""

from abdrift.simulation import flux_apply
from abdrift.simulation.errors import ApiError
from abdrift.simulation.flux_source import SourceFollower, artifact_sha
from abdrift.simulation.objects import Object, condition, digest, namespace_of
from abdrift.simulation.runtime import FINALIZER, drop_conditions, set_condition
from abdrift.simulation.schedule import go_duration, parse_duration_seconds
from abdrift.simulation.storage import Key

_REVISION = "kustomize.toolkit.fluxcd.io/revision"
_COMMIT_STATUS = "kustomize.toolkit.fluxcd.io/commit_status"
_HISTORY_LIMIT = 5
_HEALTH_POLL_SECONDS = 1.0
_SOURCE_RETRY_SECONDS = 30.0


class KustomizationReconciler(SourceFollower):
    """Applies a path of a source: on its interval, a new artifact, a new spec, or request."""

    kind_name = "Kustomization"
    manager = "kustomize-controller"
    status_manager = "gotk-kustomize-controller"
    follows_after_seconds = 0.05

    def begin(self, key: Key, obj: Object) -> None:
        """Start: settle deletion and suspension, else say that work is under way and apply after a moment."""
        if obj["metadata"].get("deletionTimestamp"):
            self._finalize(key, obj)
            return
        if FINALIZER not in obj["metadata"].get("finalizers", []):
            self.set_finalizer(obj, present=True)
        if obj["spec"].get("suspend"):
            # Seen with Flux 2.7: a suspended object still marks requests as handled, and leaves its conditions.
            if condition(obj, "Ready").get("status") == "True":
                obj["status"]["observedGeneration"] = obj["metadata"]["generation"]
            self.handle_request(obj)
            self.write_status(obj, lambda: self.done(key))
            return
        source = self._source(obj)
        if source is None or not artifact_sha(source):
            self._not_ready(key, obj)
            return
        revision = source["status"]["artifact"]["revision"]
        self._progress(obj, f"Building manifests for revision {revision} with a timeout of {self._timeout(obj)}")
        set_condition(obj, "Ready", "Unknown", "Progressing", "Reconciliation in progress", time=self.time())
        obj["status"]["lastAttemptedRevision"] = revision
        self.write_status(obj)
        took_seconds = self.runtime.random.uniform(0.08, 0.3)
        self.runtime.schedule.after(took_seconds, lambda: self._apply(key, revision, took_seconds))

    def _source(self, obj: Object) -> Object | None:
        ref = obj["spec"]["sourceRef"]
        namespace = ref.get("namespace") or namespace_of(obj)
        return self.runtime.api.find(self.runtime.kind(ref["kind"]), namespace, ref["name"])

    @staticmethod
    def _timeout(obj: Object) -> str:
        return go_duration(parse_duration_seconds(obj["spec"].get("timeout") or obj["spec"]["interval"]))

    def _progress(self, obj: Object, message: str, reason: str = "Progressing") -> None:
        set_condition(obj, "Reconciling", "True", reason, message, time=self.time())
        conditions = obj["status"]["conditions"]
        conditions.sort(key=lambda each: each["type"] != "Reconciling")

    def _not_ready(self, key: Key, obj: Object) -> None:
        ref, after_seconds = obj["spec"]["sourceRef"], _SOURCE_RETRY_SECONDS
        message = f"Source artifact not found, retrying in {go_duration(after_seconds)}"
        if self._source(obj) is None:
            plural = self.runtime.kind(ref["kind"]).plural
            message = f'{plural}.source.toolkit.fluxcd.io "{ref["name"]}" not found'
            after_seconds = self._retry_seconds(obj)
        set_condition(obj, "Ready", "False", "ArtifactFailed", message, time=self.time())
        self.handle_request(obj)
        self.write_status(obj, lambda: self.done(key, after_seconds))

    @staticmethod
    def _retry_seconds(obj: Object) -> float:
        return parse_duration_seconds(obj["spec"].get("retryInterval") or obj["spec"]["interval"])

    def _apply(self, key: Key, revision: str, took_seconds: float) -> None:
        obj = self.runtime.api.find(self.kind, *key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            self.done(key, 0.0)
            return
        source = self._source(obj)
        if source is None:
            self._not_ready(key, obj)
            return
        commit = self.runtime.git.repositories[source["spec"]["url"]].find(revision.partition("@sha1:")[2])
        manifests = commit.under(obj["spec"].get("path", "./"))
        if not manifests:
            message = f"kustomization path not found: stat {obj['spec'].get('path')}: no such file or directory"
            self._fail(key, obj, revision, ("ArtifactFailed", message))
            return
        self._progress(obj, f"Detecting drift for revision {revision} with a timeout of {self._timeout(obj)}")
        self.write_status(obj)
        try:
            built = flux_apply.build(self.runtime.api, obj, manifests)
            applied = flux_apply.apply_all(self.runtime.api, built)
        except (ApiError, KeyError) as error:
            self._remember(obj, (digest(manifests), revision), "ReconciliationFailed", took_seconds)
            self._fail(key, obj, revision, ("ReconciliationFailed", str(error)))
            return
        changes = applied.changes + self._prune(obj, applied)
        if changes:
            self._say(obj, "Progressing", "\n".join(changes), revision)
        obj["status"]["inventory"] = {"entries": applied.entries}
        finish = (digest(manifests), revision)
        # The status follows the last write by a moment, as it was seen to.
        self.runtime.schedule.after(
            self.runtime.random.uniform(0.02, 0.08), lambda: self._applied(key, obj, finish, took_seconds)
        )

    def _prune(self, obj: Object, applied: flux_apply.Applied) -> list[str]:
        if not obj["spec"].get("prune"):
            return []
        kept = {entry["id"] for entry in applied.entries}
        old = ((obj["status"].get("inventory") or {}).get("entries")) or []
        return flux_apply.prune(self.runtime.api, obj, [entry for entry in old if entry["id"] not in kept])

    def _applied(self, key: Key, obj: Object, finish: tuple[str, str], took_seconds: float) -> None:
        if not obj["spec"].get("wait"):
            self._succeed(key, obj, finish, took_seconds)
            return
        revision = finish[1]
        message = f"Running health checks for revision {revision} with a timeout of {self._timeout(obj)}"
        self._progress(obj, message)
        set_condition(obj, "Healthy", "Unknown", "Progressing", message, time=self.time())
        self.write_status(obj)
        deadline = self.runtime.schedule.now_ns() + int(parse_duration_seconds(self._timeout(obj)) * 1e9)
        self._check_health(key, obj, finish, deadline)

    def _check_health(self, key: Key, obj: Object, finish: tuple[str, str], deadline_ns: int) -> None:
        waiting = [entry for entry in obj["status"]["inventory"]["entries"] if not self._is_current(entry)]
        if not waiting:
            set_condition(obj, "Healthy", "True", "Succeeded", "Health check passed", time=self.time())
            self._succeed(key, obj, finish, 0.5)
        elif self.runtime.schedule.now_ns() >= deadline_ns:
            self._unhealthy(key, obj, finish, waiting)
        else:
            self.runtime.schedule.after(_HEALTH_POLL_SECONDS, lambda: self._check_health(key, obj, finish, deadline_ns))

    def _is_current(self, entry: Object) -> bool:
        target = flux_apply.target_of(self.runtime.api, entry["id"])
        live = self.runtime.api.find(target.kind, target.namespace, target.name)
        if live is None or live["kind"] not in ("Deployment", "StatefulSet", "DaemonSet"):
            return live is not None
        status = live.get("status") or {}
        if status.get("observedGeneration") != live["metadata"]["generation"]:
            return False
        wanted = live["spec"].get("replicas", 1)
        return all(status.get(each, 0) == wanted for each in ("readyReplicas", "updatedReplicas"))

    def _unhealthy(self, key: Key, obj: Object, finish: tuple[str, str], waiting: list[Object]) -> None:
        targets = [flux_apply.target_of(self.runtime.api, entry["id"]) for entry in waiting]
        listed = ", ".join(f"{t.kind.name}/{t.namespace}/{t.name} status: 'InProgress'" for t in targets)
        timeout = parse_duration_seconds(self._timeout(obj))
        reason, message = "HealthCheckFailed", f"timeout waiting for: [{listed}]"
        set_condition(obj, "Healthy", "False", reason, message, time=self.time())
        self._remember(obj, finish, reason, timeout)
        self._fail(key, obj, finish[1], (reason, f"health check failed after {go_duration(timeout + 0.05)}: {message}"))

    def _fail(self, key: Key, obj: Object, revision: str, said: tuple[str, str]) -> None:
        reason, message = said
        set_condition(obj, "Ready", "False", reason, message, time=self.time())
        progress = condition(obj, "Reconciling").get("message", "")
        self._progress(obj, progress, "ProgressingWithRetry")
        self.handle_request(obj)
        self._say(obj, reason, message, revision)
        self.write_status(obj, lambda: self.done(key, self._retry_seconds(obj)))

    def _succeed(self, key: Key, obj: Object, finish: tuple[str, str], took_seconds: float) -> None:
        revision = finish[1]
        set_condition(
            obj, "Ready", "True", "ReconciliationSucceeded", f"Applied revision: {revision}", time=self.time()
        )
        drop_conditions(obj, ("Reconciling",) if obj["spec"].get("wait") else ("Reconciling", "Healthy"))
        obj["status"] |= {
            "lastAppliedRevision": revision,
            "lastAttemptedRevision": revision,
            "observedGeneration": obj["metadata"]["generation"],
        }
        self._remember(obj, finish, "ReconciliationSucceeded", took_seconds)
        self.handle_request(obj)
        self.write_status(obj, lambda: self._succeeded(key, obj, revision, took_seconds))

    def _succeeded(self, key: Key, obj: Object, revision: str, took_seconds: float) -> None:
        interval = go_duration(parse_duration_seconds(obj["spec"]["interval"]))
        message = f"Reconciliation finished in {go_duration(took_seconds + 0.04)}, next run in {interval}"
        self._say(obj, "ReconciliationSucceeded", message, revision, commit_status="update")
        self.done(key)

    def _remember(self, obj: Object, finish: tuple[str, str], outcome: str, took_seconds: float) -> None:
        content, revision = finish
        history = obj["status"].get("history", [])
        same = [each for each in history if (each["digest"], each["lastReconciledStatus"]) == (content, outcome)]
        latest: Object = {
            "digest": content,
            "firstReconciled": same[0]["firstReconciled"] if same else self.time(),
            "lastReconciled": self.time(),
            "lastReconciledDuration": go_duration(took_seconds),
            "lastReconciledStatus": outcome,
            "metadata": {"revision": revision},
            "totalReconciliations": same[0]["totalReconciliations"] + 1 if same else 1,
        }
        obj["status"]["history"] = [latest, *(each for each in history if each not in same)][:_HISTORY_LIMIT]

    def _say(self, obj: Object, reason: str, message: str, revision: str, commit_status: str = "") -> None:
        notes = {_REVISION: revision}
        if commit_status:
            notes = {_COMMIT_STATUS: commit_status, **notes}
        self.runtime.events.record(obj, self.manager, reason, message, notes)

    def _finalize(self, key: Key, obj: Object) -> None:
        entries = ((obj.get("status") or {}).get("inventory") or {}).get("entries") or []
        orphan = obj["spec"].get("deletionPolicy") == "Orphan" or obj["spec"].get("suspend")
        if obj["spec"].get("prune") and not orphan:
            flux_apply.prune(self.runtime.api, obj, entries)
        if FINALIZER in obj["metadata"].get("finalizers", []):
            self.set_finalizer(obj, present=False)
        self.done(key)

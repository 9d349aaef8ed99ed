"""kube-controller-manager as far as the fleet needs it: rollouts that finish or hang, and autoscaling."""

from typing import TYPE_CHECKING

from abdrift.simulation.apiserver import Options, Target
from abdrift.simulation.kinds import Kind
from abdrift.simulation.objects import Object, annotations_of, digest
from abdrift.simulation.runtime import Runtime, set_condition
from abdrift.simulation.storage import Change, Key

if TYPE_CHECKING:
    from collections.abc import Mapping

MANAGER = "kube-controller-manager"
NEVER_PULLED = "never-pulled"
"""An image's tag that no node can pull."""
_DEADLINE_SECONDS = 600
"""The API's default of `progressDeadlineSeconds`."""
REVISION = "deployment.kubernetes.io/revision"
_OPTIONS = Options(MANAGER)
_WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})


class Workloads:
    """Writes the status of workloads: first that a generation was seen, later that its rollout is done."""

    def __init__(self, runtime: Runtime, rollout_seconds: float) -> None:
        self._runtime = runtime
        self._rollout_seconds = rollout_seconds
        self._templates: dict[tuple[Kind, Key], str] = {}
        self.stuck: set[Key] = set()
        """Workloads (namespace, name) whose rollouts do not finish."""
        runtime.api.store.listen(self._observe)

    def _observe(self, kind: Kind, change: Change) -> None:
        if kind.name not in _WORKLOADS:
            return
        if change.new is None:
            if change.old is not None:
                self._templates.pop((kind, change.old.key), None)
            return
        obj = change.new.value()
        generation = obj["metadata"]["generation"]
        if (obj.get("status") or {}).get("observedGeneration") == generation:
            return
        key = change.new.key
        self._runtime.schedule.after(0.03, lambda: self._see(kind, key))
        self._runtime.schedule.after(self._rollout_seconds, lambda: self._finish(kind, key, generation))
        if kind.name == "Deployment" and _cannot_start(obj):
            deadline_seconds = obj["spec"].get("progressDeadlineSeconds", _DEADLINE_SECONDS)
            self._runtime.schedule.after(deadline_seconds, lambda: self._give_up(kind, key, generation))

    def _see(self, kind: Kind, key: Key) -> None:
        obj = self._runtime.api.find(kind, *key)
        if obj is None:
            return
        status = obj.setdefault("status", {})
        generation = obj["metadata"]["generation"]
        if status.get("observedGeneration") == generation:
            return
        wanted, ready = (
            obj["spec"].get("replicas", 1),
            min(status.get("readyReplicas", 0), obj["spec"].get("replicas", 1)),
        )
        template = digest(obj["spec"]["template"])
        is_new = self._templates.get((kind, key)) != template
        self._templates[kind, key] = template
        if kind.name == "Deployment" and is_new:
            notes = dict(annotations_of(obj))
            notes[REVISION] = str(int(notes.get(REVISION, "0")) + 1)
            obj["metadata"]["annotations"] = notes
        counts = {"replicas": wanted, "readyReplicas": ready, "availableReplicas": ready}
        status |= {"observedGeneration": generation, "updatedReplicas": 0 if is_new else ready, **counts}
        status["unavailableReplicas"] = wanted - ready
        self._conditions(obj, done=False)
        self._write(kind, key, obj)

    def _finish(self, kind: Kind, key: Key, generation: int) -> None:
        obj = self._runtime.api.find(kind, *key)
        if obj is None or key in self.stuck or obj["metadata"]["generation"] != generation or _cannot_start(obj):
            return
        wanted = obj["spec"].get("replicas", 1)
        status = obj.setdefault("status", {})
        status |= dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), wanted)
        status["observedGeneration"] = generation
        status.pop("unavailableReplicas", None)
        self._conditions(obj, done=True)
        self._write(kind, key, obj)

    def _give_up(self, kind: Kind, key: Key, generation: int) -> None:
        """Say that a rollout made no progress until its deadline."""
        obj = self._runtime.api.find(kind, *key)
        if obj is None or obj["metadata"]["generation"] != generation:
            return
        message = f'ReplicaSet "{obj["metadata"]["name"]}" has timed out progressing.'
        time = self._runtime.api.time()
        set_condition(obj, "Progressing", "False", "ProgressDeadlineExceeded", message, time=time)
        self._write(kind, key, obj)

    def _conditions(self, obj: Object, *, done: bool) -> None:
        if obj["kind"] != "Deployment":
            return
        time = self._runtime.api.time()
        available = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        missing = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        progress = "has successfully progressed." if done else "is progressing."
        reason = "NewReplicaSetAvailable" if done else "ReplicaSetUpdated"
        set_condition(obj, "Available", *(available if done else missing), time=time)
        set_condition(
            obj, "Progressing", "True", reason, f'ReplicaSet "{obj["metadata"]["name"]}" {progress}', time=time
        )
        for each in obj["status"]["conditions"]:
            each.pop("observedGeneration", None)
            each["lastUpdateTime"] = time

    def _write(self, kind: Kind, key: Key, obj: Object) -> None:
        self._runtime.api.replace(Target(kind, *key, "status"), obj, _OPTIONS)

    def autoscale(self, hpa: Object, replicas: int) -> None:
        """Scale an HPA's target as its controller does, held to the HPA's bounds."""
        spec, api = hpa["spec"], self._runtime.api
        ref: Mapping[str, str] = spec["scaleTargetRef"]
        bounded = max(spec.get("minReplicas", 1), min(spec["maxReplicas"], replicas))
        kind, namespace = api.kinds.of(ref["apiVersion"], ref["kind"]), hpa["metadata"]["namespace"]
        target = Target(kind, namespace, ref["name"], "scale")
        api.replace(target, {"spec": {"replicas": bounded}}, _OPTIONS)
        status = {"currentReplicas": bounded, "desiredReplicas": bounded, "lastScaleTime": api.time()}
        hpa_kind = api.kinds.named("HorizontalPodAutoscaler")
        hpa_target = Target(hpa_kind, namespace, hpa["metadata"]["name"], "status")
        api.replace(hpa_target, {**hpa, "status": {**hpa.get("status", {}), **status}}, _OPTIONS)


def _cannot_start(obj: Object) -> bool:
    containers = obj["spec"]["template"]["spec"].get("containers", ())
    return any(str(each.get("image", "")).endswith(f":{NEVER_PULLED}") for each in containers)

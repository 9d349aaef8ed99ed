"""What one object's own status says of its health. Pure functions of the projected object.

Source: the conditions and counts that Kubernetes' controllers and Flux write, as their API documentation defines them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from abdrift.facts.health import HealthReason, HealthStatus
from abdrift.flux import condition

HEALTHY, DEGRADED, FAILING, UNKNOWN = HealthStatus
Reasons = tuple[HealthReason, ...]


def reason(code: str, message: str, status: HealthStatus, source: str = "condition") -> HealthReason:
    """Return one reason, its message bounded."""
    return HealthReason(code=code, message=message[:500], status=status, source=source)


def _because(found: Mapping[str, Any], status: HealthStatus, otherwise: str) -> HealthReason:
    """Return a condition's own reason and message."""
    return reason(str(found.get("reason") or otherwise), str(found.get("message") or ""), status)


def deployment(obj: Mapping[str, Any]) -> Reasons:
    """Judge a Deployment: failing when stuck or nothing is available, degraded when some replicas are missing."""
    progressing = condition(obj, "Progressing")
    if progressing.get("status") == "False":
        return (_because(progressing, FAILING, "NotProgressing"),)
    return _replicas(obj, _wanted(obj), "availableReplicas", "available")


def stateful_set(obj: Mapping[str, Any]) -> Reasons:
    """Judge a StatefulSet by its ready replicas."""
    return _replicas(obj, _wanted(obj), "readyReplicas", "ready")


def daemon_set(obj: Mapping[str, Any]) -> Reasons:
    """Judge a DaemonSet by the nodes it should run on."""
    wanted = int((obj.get("status") or {}).get("desiredNumberScheduled") or 0)
    return _replicas(obj, wanted, "numberReady", "ready")


def job(obj: Mapping[str, Any]) -> Reasons:
    """Judge a Job by its Failed condition."""
    failed = condition(obj, "Failed")
    if failed.get("status") == "True":
        return (_because(failed, FAILING, "Failed"),)
    return ()


def node(obj: Mapping[str, Any]) -> Reasons:
    """Judge a Node: failing when not Ready, degraded under pressure or cordoned."""
    found: list[HealthReason] = []
    ready = condition(obj, "Ready")
    match ready.get("status"):
        case "True":
            pass
        case None:
            found.append(reason("NoReadyCondition", "the node has reported no Ready condition", UNKNOWN))
        case status:
            # The node controller writes Unknown when the kubelet stopped reporting: pods there are as good as lost.
            found.append(reason("NotReady", f"Ready is {status}: {ready.get('message', '')}", FAILING))
    found.extend(
        reason(kind, str(condition(obj, kind).get("message", "")), DEGRADED)
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
        if condition(obj, kind).get("status") == "True"
    )
    if (obj.get("spec") or {}).get("unschedulable"):
        found.append(reason("Cordoned", "the node takes no new pods", DEGRADED, "spec"))
    return tuple(found)


def gitops(obj: Mapping[str, Any]) -> Reasons:
    """Judge a Flux object: failing when Stalled or not Ready, degraded when suspended, unknown when unreported."""
    if (obj.get("spec") or {}).get("suspend"):
        return (reason("Suspended", "reconciliation is suspended", DEGRADED, "spec"),)
    stalled, ready = condition(obj, "Stalled"), condition(obj, "Ready")
    if stalled.get("status") == "True":
        return (_because(stalled, FAILING, "Stalled"),)
    if ready.get("status") == "False":
        waiting = ready.get("reason") == "DependencyNotReady"
        return (_because(ready, DEGRADED if waiting else FAILING, "NotReady"),)
    if ready.get("status") == "True" or condition(obj, "Reconciling").get("status") == "True":
        return ()
    return (reason("NotReported", "the controller has reported no Ready condition", UNKNOWN),)


def _wanted(obj: Mapping[str, Any]) -> int:
    replicas = (obj.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)


def _replicas(obj: Mapping[str, Any], wanted: int, field: str, word: str) -> Reasons:
    status = obj.get("status")
    if not status or "observedGeneration" not in status:
        return (reason("NotReported", "the controller has not reported yet", UNKNOWN, "status"),)
    have = int(status.get(field) or 0)
    if have >= wanted:
        return ()
    message = f"{have} of {wanted} replicas are {word}"
    return (reason("ReplicasMissing", message, FAILING if have == 0 else DEGRADED, "status"),)


ASSESSORS: dict[tuple[str, str], tuple[str, Callable[[Mapping[str, Any]], Reasons]]] = {
    ("apps", "Deployment"): ("workload", deployment),
    ("apps", "StatefulSet"): ("workload", stateful_set),
    ("apps", "DaemonSet"): ("workload", daemon_set),
    ("batch", "Job"): ("workload", job),
    ("", "Node"): ("node", node),
    **{
        (group, kind): ("gitops", gitops)
        for group, kinds in (
            ("kustomize.toolkit.fluxcd.io", ("Kustomization",)),
            ("helm.toolkit.fluxcd.io", ("HelmRelease",)),
            ("source.toolkit.fluxcd.io", ("GitRepository", "OCIRepository", "HelmRepository", "HelmChart", "Bucket")),
        )
        for kind in kinds
    },
}
"""By group and kind: the scope of the health fact, and who judges it."""

_ORDER: dict[str, int] = {HEALTHY: 0, UNKNOWN: 1, DEGRADED: 2, FAILING: 3}


class Spoken(Protocol):
    """A reason, as a fact or as a cell has it."""

    @property
    def status(self) -> str:
        """The status that this reason alone would give."""
        ...


def worst(reasons: Iterable[Spoken]) -> HealthStatus:
    """Return the status that the reasons give together; healthy where there are none."""
    return HealthStatus(max((r.status for r in reasons), key=_ORDER.__getitem__, default=HEALTHY))

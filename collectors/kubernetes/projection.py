"""What of an object is reported, and when it counts as changed. Pure.

Kept are apiVersion, kind, metadata and whatever the kind holds (spec, data, rules, …). Status is kept for Flux's kinds,
nodes (conditions), workloads and autoscalers; elsewhere it is noise.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import orjson

from abdrift.flux import HELM_CONTROLLER, KUSTOMIZE_CONTROLLER

Object = dict[str, Any]

_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "labels",
    "annotations",
    "ownerReferences",
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
    "managedFields",
)
_BEAT_TIMES = frozenset({"lastHeartbeatTime", "lastProbeTime", "lastUpdateTime"})
_FLUX = ".toolkit.fluxcd.io"
_FLUX_MANAGERS = frozenset({KUSTOMIZE_CONTROLLER, HELM_CONTROLLER})


def _whole(status: Object) -> Object:
    return status


def _only(*names: str) -> Callable[[Object], Object]:
    return lambda status: {name: status[name] for name in names if name in status}


def _without(*names: str) -> Callable[[Object], Object]:
    return lambda status: {name: value for name, value in status.items() if name not in names}


_STATUS: Mapping[tuple[str, str], Callable[[Object], Object]] = {
    ("", "Node"): _only("conditions"),
    ("apps", "Deployment"): _whole,
    ("apps", "StatefulSet"): _whole,
    ("apps", "DaemonSet"): _whole,
    ("batch", "Job"): _without("uncountedTerminatedPods", "completedIndexes", "failedIndexes"),
    ("batch", "CronJob"): _without("active"),
    ("autoscaling", "HorizontalPodAutoscaler"): _whole,
}


def project(obj: Mapping[str, Any], group: str, version: str, kind: str) -> Object:
    """Return what is reported of an object. Lists leave out apiVersion and kind; they are put back.

    Raises:
        KeyError, TypeError, AttributeError: it is no Kubernetes object.

    """
    metadata = obj["metadata"]
    projected: Object = {
        "apiVersion": f"{group}/{version}" if group else version,
        "kind": kind,
        "metadata": {name: metadata[name] for name in _METADATA if name in metadata},
    }
    for name, value in obj.items():
        if name not in ("apiVersion", "kind", "metadata", "status"):
            projected[name] = value
    keep = _whole if group.endswith(_FLUX) else _STATUS.get((group, kind))
    if keep and isinstance(status := obj.get("status"), dict):
        projected["status"] = keep(status)
    return projected


def fingerprint(projected: Mapping[str, Any]) -> bytes:
    """Return 8 bytes that differ where a projection differs in something that matters.

    Left out are resourceVersion, who wrote the status and when (the status itself says what), and the times at which
    conditions were merely confirmed.
    """
    metadata = {name: value for name, value in projected["metadata"].items() if name != "resourceVersion"}
    if fields := metadata.get("managedFields"):
        metadata["managedFields"] = [entry for entry in fields if entry.get("subresource") != "status"]
    told = {**projected, "metadata": metadata}
    if status := projected.get("status"):
        told["status"] = _without_beats(status)
    return blake2b(orjson.dumps(told, option=orjson.OPT_SORT_KEYS), digest_size=8).digest()


def applied(projected: Mapping[str, Any]) -> bytes:
    """Return 8 bytes that differ where Flux's controllers wrote, as managedFields tell; none where they never did.

    Of a removal by someone else, which shrinks their entry and leaves its time alone, they differ too.
    """
    entries = [
        entry
        for entry in projected["metadata"].get("managedFields") or ()
        if entry.get("manager") in _FLUX_MANAGERS and entry.get("subresource") != "status"
    ]
    return blake2b(orjson.dumps(entries, option=orjson.OPT_SORT_KEYS), digest_size=8).digest() if entries else b""


def _without_beats(status: Object) -> Object:
    conditions = status.get("conditions")
    if not isinstance(conditions, list):
        return status
    steady = [{name: value for name, value in condition.items() if name not in _BEAT_TIMES} for condition in conditions]
    return {**status, "conditions": steady}

"""What an API server fills in where a manifest says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.drift.compare.changes import unescape
from streams.drift.compare.schema import type_of
from streams.drift.compare.values import quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.drift.compare.schema import Type

NOTHING: Final = object()
"""No default: the field stays absent."""

_CORE: Final = "io.k8s.api.core.v1."
_IDENTITY: Final = frozenset({"name"})


def _pull_policy(default: Any, siblings: Mapping[str, Any]) -> Any:
    image = siblings.get("image")
    if not isinstance(image, str) or not image:
        return default
    if "@" in image:
        return "IfNotPresent"
    tag = image.rpartition("/")[2].partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _rolling_update(default: Any, siblings: Mapping[str, Any]) -> Any:
    return default if siblings.get("type") in (None, "RollingUpdate") else NOTHING


def _empty_dir(default: Any, siblings: Mapping[str, Any]) -> Any:
    return default if siblings.keys() <= _IDENTITY | {"emptyDir"} else NOTHING


def _phase(_default: Any, _siblings: Mapping[str, Any]) -> Any:
    return "Pending"


def _target_port(_default: Any, siblings: Mapping[str, Any]) -> Any:
    return siblings.get("port", NOTHING)


def _api_group(_default: Any, siblings: Mapping[str, Any]) -> Any:
    return "rbac.authorization.k8s.io" if siblings.get("kind") in ("User", "Group") else NOTHING


def _policy_types(default: Any, siblings: Mapping[str, Any]) -> Any:
    return [*default, "Egress"] if siblings.get("egress") else default


def _alone(*others: str) -> Callable[[Any, Mapping[str, Any]], Any]:
    """Return a default that holds only where none of the others is said."""

    def choose(default: Any, siblings: Mapping[str, Any]) -> Any:
        return default if all(siblings.get(other) is None for other in others) else NOTHING

    return choose


_BY_FIELD: Final[Mapping[tuple[str, str], Callable[[Any, Mapping[str, Any]], Any]]] = {
    (_CORE + "Container", "imagePullPolicy"): _pull_policy,
    (_CORE + "EphemeralContainer", "imagePullPolicy"): _pull_policy,
    (_CORE + "PersistentVolumeClaimStatus", "phase"): _phase,
    (_CORE + "ServicePort", "targetPort"): _target_port,
    (_CORE + "Volume", "emptyDir"): _empty_dir,
    ("io.k8s.api.apps.v1.DaemonSetUpdateStrategy", "rollingUpdate"): _rolling_update,
    ("io.k8s.api.apps.v1.DeploymentStrategy", "rollingUpdate"): _rolling_update,
    ("io.k8s.api.apps.v1.StatefulSetUpdateStrategy", "rollingUpdate"): _alone("type"),
    ("io.k8s.api.batch.v1.JobSpec", "completions"): _alone("parallelism"),
    ("io.k8s.api.rbac.v1.Subject", "apiGroup"): _api_group,
    ("io.k8s.api.networking.v1.NetworkPolicySpec", "policyTypes"): _policy_types,
}
"""Defaults that depend on the fields beside them, after pkg/apis/*/v1/defaults.go of Kubernetes."""


def default_of(parent: Type, key: str, siblings: Mapping[str, Any]) -> Any:
    """Return what `key` becomes in a struct that says only its `siblings`, or `NOTHING`."""
    default = parent.defaults.get(key, NOTHING)
    choose = _BY_FIELD.get((parent.name, key))
    return default if choose is None else choose(default, siblings)


def is_default(document: Mapping[str, Any], pointer: str) -> bool:
    """Whether an object says, at a JSON pointer, what an API server fills in where nothing is said."""
    value: Any = document
    parent = type_of(str(document.get("apiVersion")), str(document.get("kind")))
    *above, key = (unescape(segment) for segment in pointer.split("/")[1:])
    for segment in above:
        if isinstance(value, dict):
            parent, value = parent.child(segment), value.get(segment, NOTHING)
        elif isinstance(value, list) and segment.isdigit() and int(segment) < len(value):
            parent, value = parent.item, value[int(segment)]
        else:
            return False
    if not isinstance(value, dict) or key not in value:
        return False
    return bool(default_of(parent, key, {k: v for k, v in value.items() if k != key}) == value[key])


def vanishes(parent: Type, key: str, value: Any) -> bool:
    """Whether a field said so reads back as absent from an API server.

    Null always does. Of published types, so do zero values and empty parts that Go does not hold by pointer; a custom
    resource keeps what it is given.
    """
    if value is None:
        return True
    if not parent.known or key in parent.pointers:
        return False
    if isinstance(value, dict):
        child = parent.child(key)
        return child.known and all(not child.values and vanishes(child, k, v) for k, v in value.items())
    if key not in parent.fields:
        return False  # an entry of a map is kept, whatever its value
    if parent.fields[key].form == "quantity" and quantity(value) == 0:
        return True  # Go writes a quantity's zero value down, so absent and zero read back alike
    return not value  # False, 0, "" and []; what may not be so is held by pointer

"""Which lists are keyed and which maps are atomic, as the API's schemas mark them.

From the markers `listType`, `listMapKey` and `structType` of Kubernetes 1.34's types. Lists of custom resources are
atomic: Flux's definitions mark none.
"""

import json
from collections.abc import Mapping
from typing import Any

from abdrift.simulation.kinds import Kind

_LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
_ATOMIC_MAPS = frozenset(
    {"configMapKeyRef", "fieldRef", "labelSelector", "nodeSelector", "resourceFieldRef", "secretKeyRef", "selector"}
)
_KEY_DEFAULTS: Mapping[str, str] = {"protocol": "TCP"}


def list_keys(kind: Kind, names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Give the keys of the list at these field names, None where it is atomic."""
    last = names[-1] if names else ""
    if names == ("metadata", "ownerReferences"):
        return ("uid",)
    if kind.custom:
        return None
    if last == "ports":
        return ("port", "protocol") if names == ("spec", "ports") else ("containerPort", "protocol")
    return _LIST_KEYS.get(last)


def merge_key(kind: Kind, names: tuple[str, ...]) -> str | None:
    """Give the `patchMergeKey` of a strategic merge; of several keys the first."""
    keys = list_keys(kind, names)
    return keys[0] if keys else None


def is_set(names: tuple[str, ...]) -> bool:
    """Whether the list is a set of scalars."""
    return names == ("metadata", "finalizers")


def is_atomic_map(kind: Kind, names: tuple[str, ...]) -> bool:
    """Whether a map is owned as a whole."""
    return not kind.custom and bool(names) and names[-1] in _ATOMIC_MAPS


def item_segment(keys: tuple[str, ...], item: Mapping[str, Any]) -> str:
    """`k:{"name":"web"}`: how FieldsV1 names a member of a keyed list."""
    found = {key: item.get(key, _KEY_DEFAULTS.get(key)) for key in keys}
    return "k:" + json.dumps(
        {key: value for key, value in sorted(found.items()) if value is not None}, separators=(",", ":")
    )


def value_segment(value: Any) -> str:
    """`v:"x"`: how FieldsV1 names a member of a set."""
    return "v:" + json.dumps(value, separators=(",", ":"))

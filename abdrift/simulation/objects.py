"""Kubernetes objects as JSON: the shapes and the small questions everyone asks of them."""

import hashlib
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

JsonT = TypeVar("JsonT")
Object = dict[str, Any]
"""A Kubernetes object, as JSON decodes it."""


def name_of(obj: Object) -> str:
    """`metadata.name`."""
    return str(obj["metadata"]["name"])


def namespace_of(obj: Object) -> str:
    """`metadata.namespace`, empty for what is cluster-scoped."""
    return str(obj["metadata"].get("namespace") or "")


def labels_of(obj: Object) -> dict[str, str]:
    """`metadata.labels`, never None."""
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """`metadata.annotations`, never None."""
    return obj["metadata"].get("annotations") or {}


def condition(obj: Object, kind: str) -> Object:
    """Give the condition of that type, empty if there is none."""
    found: Iterable[Object] = (obj.get("status") or {}).get("conditions") or ()
    return next((each for each in found if each["type"] == kind), {})


def clone(value: JsonT) -> JsonT:
    """Give a deep copy of JSON; several times faster than `copy.deepcopy`."""
    copied: JsonT = orjson.loads(orjson.dumps(value))
    return copied


def digest(value: Any) -> str:
    """`sha256:…` of a value's canonical JSON."""
    return "sha256:" + hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()

"""Objects as JSON: what is kept of them, and the small questions asked of them."""

from collections.abc import Mapping
from typing import Any

import orjson

from abdrift.clock import parse_rfc3339_ms

HOLD = "abdrift.dev/hold-until"
KUSTOMIZE_SSA = "kustomize.toolkit.fluxcd.io/ssa"
KUSTOMIZE_RECONCILE = "kustomize.toolkit.fluxcd.io/reconcile"
KUSTOMIZE_PRUNE = "kustomize.toolkit.fluxcd.io/prune"
HELM_DETECTION = "helm.toolkit.fluxcd.io/driftDetection"
HELM_KEEP = "helm.sh/resource-policy"

DISABLED_BY_HAND = "reconcile-disabled"
_VOLATILE = ("resourceVersion", "generation", "managedFields", "selfLink", "creationTimestamp", "deletionTimestamp")
_OWN_PREFIXES = ("abdrift.dev/", "reconcile.fluxcd.io/", "deployment.kubernetes.io/")
_TRAITS = {
    (KUSTOMIZE_SSA, "ignore"): "ssa-ignore",
    (KUSTOMIZE_SSA, "ifnotpresent"): "ssa-if-not-present",
    (KUSTOMIZE_SSA, "merge"): "ssa-merge",
    (KUSTOMIZE_RECONCILE, "disabled"): DISABLED_BY_HAND,
    (KUSTOMIZE_PRUNE, "disabled"): "prune-disabled",
    (HELM_DETECTION, "disabled"): "detection-disabled",
    (HELM_KEEP, "keep"): "prune-disabled",
}


def slim(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a live object: no status, no counters, none of Abdrift's or Flux's own notes on it.

    Of managedFields the entries remain that are not about a status.
    """
    metadata = dict(document.get("metadata") or {})
    entries = [
        e for e in metadata.get("managedFields") or () if isinstance(e, dict) and e.get("subresource") != "status"
    ]
    kept_metadata = {key: value for key, value in metadata.items() if key not in _VOLATILE}
    if entries:
        kept_metadata["managedFields"] = entries
    if annotations := metadata.get("annotations"):
        kept_metadata["annotations"] = {k: v for k, v in annotations.items() if not k.startswith(_OWN_PREFIXES)}
        if not kept_metadata["annotations"]:
            del kept_metadata["annotations"]
    kept = {key: value for key, value in document.items() if key not in ("status", "metadata")}
    return {**kept, "metadata": kept_metadata}


def dump(document: Mapping[str, Any]) -> bytes:
    """Return canonical JSON: equal documents have equal bytes."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def load(raw: bytes) -> dict[str, Any]:
    """Return a document that `dump` wrote."""
    loaded: dict[str, Any] = orjson.loads(raw)
    return loaded


def content(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a slim object without managedFields and UID: what a person would call its content."""
    metadata = {k: v for k, v in document["metadata"].items() if k not in ("managedFields", "uid")}
    return {**document, "metadata": metadata}


def annotations(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object's annotations."""
    return _mapping(_mapping(document.get("metadata")).get("annotations"))


def labels(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object's labels."""
    return _mapping(_mapping(document.get("metadata")).get("labels"))


def traits(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what an object opts out of, and whether another object controls it.

    Flux reads its opt-outs from labels and annotations alike.
    """
    found = set()
    for part in (labels(document), annotations(document)):
        for key, value in part.items():
            if trait := _TRAITS.get((key, str(value).lower())):
                found.add(trait)
    if _mapping(document.get("metadata")).get("ownerReferences"):
        found.add("controlled")
    return tuple(sorted(found))


def hold_until_ms(document: Mapping[str, Any]) -> int:
    """Return until when a person's annotation holds everything off; 0 where none does."""
    return parse_rfc3339_ms(str(annotations(document).get(HOLD, ""))) or 0


def part(document: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Return a nested object, empty where there is none."""
    value: Any = document
    for key in path:
        value = _mapping(value).get(key)
    return _mapping(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

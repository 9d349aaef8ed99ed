"""What an API server, or an engine before it, makes of a few kinds beyond what their types' table tells."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from abdrift.masking import is_masked

Document = Mapping[str, Any]
_PEM: Final = b"-----BEGIN CERTIFICATE-----"
_OWN_NAME: Final = "kubernetes.io/metadata.name"
_CA_BUNDLE: Final = ("spec", "conversion", "webhook", "clientConfig", "caBundle")


def stored(document: Document) -> Document:
    """Return a document as an API server keeps it."""
    group = document["apiVersion"].rpartition("/")[0]
    change = _BY_KIND.get((group, document["kind"]))
    return document if change is None else change(document)


def unchanged(document: Document) -> Document:
    """Return a document as it is."""
    return document


def without_bad_bundle(document: Document) -> Document:
    """Return a manifest as kustomize-controller applies it: a CRD without a CA bundle that is none."""
    if document["kind"] != "CustomResourceDefinition":
        return document
    bundle = _at(document, _CA_BUNDLE)
    return _without(document, _CA_BUNDLE) if isinstance(bundle, str) and bundle and not _is_pem(bundle) else document


def metrics_once(document: Document) -> Document:
    """Return a document as Flux reads it: an autoscaler with each of its metrics once."""
    metrics = _at(document, ("spec", "metrics")) if document["kind"] == "HorizontalPodAutoscaler" else None
    if not isinstance(metrics, list):
        return document
    once = [metric for index, metric in enumerate(metrics) if metric and metric not in metrics[:index]]
    return {**document, "spec": {**document["spec"], "metrics": once}}


def endpoints_in_order(document: Document) -> Document:
    """Return a document as Argo CD reads it: Endpoints in order."""
    subsets = document.get("subsets")
    if document["kind"] != "Endpoints" or not isinstance(subsets, list):
        return document
    return {**document, "subsets": [_in_order(subset) for subset in subsets]}


def _in_order(subset: Any) -> Any:
    if not isinstance(subset, dict):
        return subset
    return {key: sorted(v, key=orjson.dumps) if isinstance(v, list) else v for key, v in subset.items()}


def _is_pem(bundle: str) -> bool:
    try:
        return _PEM in base64.b64decode(bundle)
    except (binascii.Error, ValueError):
        return False


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def _without(document: Document, path: tuple[str, ...]) -> Document:
    key, *below = path
    if not below:
        return {k: v for k, v in document.items() if k != key}
    return {**document, key: _without(document[key], tuple(below))}


def _secret(document: Document) -> Document:
    """Return a Secret with `stringData` merged into `data`, and null values as empty ones."""
    said, data = document.get("stringData"), document.get("data")
    if not isinstance(said or {}, dict) or not isinstance(data or {}, dict):
        return document
    encoded = {key: "" if value is None else value for key, value in (data or {}).items()}
    for key, value in (said or {}).items():
        encoded[key] = _encoded(value)
    kept = {key: value for key, value in document.items() if key not in ("data", "stringData")}
    return {**kept, "data": encoded} if encoded else kept


def _encoded(value: Any) -> Any:
    if value is None:
        return ""
    if not isinstance(value, str) or is_masked(value):
        return value  # a masked value stands for what it decodes to
    return base64.b64encode(value.encode()).decode()


def _namespace(document: Document) -> Document:
    """Return a Namespace with the label that an API server gives it."""
    metadata = document["metadata"]
    labels = metadata.get("labels")
    if not metadata.get("name") or not isinstance(labels, dict):
        return document
    return {**document, "metadata": {**metadata, "labels": {**labels, _OWN_NAME: metadata["name"]}}}


def _limit_range(document: Document) -> Document:
    """Return a LimitRange whose defaults for containers are filled from its bounds."""
    limits = _at(document, ("spec", "limits"))
    if not isinstance(limits, list):
        return document
    return {**document, "spec": {**document["spec"], "limits": [_bounded(item) for item in limits]}}


def _bounded(item: Any) -> Any:
    if not isinstance(item, dict) or item.get("type") != "Container":
        return item
    low, high, said, requested = (item.get(key) or {} for key in ("min", "max", "default", "defaultRequest"))
    if not all(isinstance(bound, dict) for bound in (low, high, said, requested)):
        return item
    default = {**high, **said}
    return {**item, "default": default, "defaultRequest": {**low, **default, **requested}}


_BY_KIND: Final[Mapping[tuple[str, str], Callable[[Document], Document]]] = {
    ("", "LimitRange"): _limit_range,
    ("", "Namespace"): _namespace,
    ("", "Secret"): _secret,
}

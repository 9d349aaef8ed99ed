"""Names of objects: from rows, inventories and manifests to references and back."""

from collections.abc import Mapping
from typing import Any

from abdrift.facts.base import ObjectRef
from abdrift.signals.objects import ObjectRow
from streams.drift.cells import Ref

KUSTOMIZE_GROUP = "kustomize.toolkit.fluxcd.io"
HELM_GROUP = "helm.toolkit.fluxcd.io"
SOURCE_GROUP = "source.toolkit.fluxcd.io"
MANIFEST_GROUP = "abdrift.dev"
MANIFEST_KIND = "HelmManifest"

_OWNER_KINDS = {(KUSTOMIZE_GROUP, "Kustomization"), (HELM_GROUP, "HelmRelease")}
_LABELS = (KUSTOMIZE_GROUP, "Kustomization"), (HELM_GROUP, "HelmRelease")


def of_row(row: ObjectRow) -> Ref:
    """Return what a row is about."""
    return Ref(row.group, row.version, row.kind, row.namespace, row.name, row.uid)


def of_document(document: Mapping[str, Any], namespace: str = "") -> Ref:
    """Return what a manifest is about; `namespace` where it says none."""
    group, _, version = str(document.get("apiVersion", "")).rpartition("/")
    metadata = document.get("metadata") or {}
    return Ref(
        group,
        version,
        str(document.get("kind", "")),
        str(metadata.get("namespace") or namespace),
        str(metadata.get("name", "")),
    )


def of_id(oid: str, version: str = "") -> Ref:
    """Return the reference of an object id."""
    group, kind, namespace, name = oid.split("/", 3)
    return Ref(group, version, kind, namespace, name)


def object_id(group: str, kind: str, namespace: str, name: str) -> str:
    """Return an object id."""
    return f"{group}/{kind}/{namespace}/{name}"


def of_inventory_entry(entry: str) -> str:
    """Return the object id of an inventory's `namespace_name_group_kind`; a colon in a name is written `__`.

    Raises:
        ValueError: it is no such id.

    """
    namespace, _, rest = entry.partition("_")
    rest, _, kind = rest.rpartition("_")
    name, separator, group = rest.rpartition("_")
    if not (separator and name and kind):
        raise ValueError(f"{entry!r} is no inventory id")
    return object_id(group, kind, namespace, name.replace("__", ":"))


def kind_of(oid: str) -> str:
    """Return `group/kind` of an object id, by which watches are known."""
    group, kind, _ = oid.split("/", 2)
    return f"{group}/{kind}"


def is_owner(ref: Ref) -> bool:
    """Whether the object owns others by GitOps."""
    return (ref.group, ref.kind) in _OWNER_KINDS


def is_source(ref: Ref) -> bool:
    """Whether the object is one of Flux's sources."""
    return ref.group == SOURCE_GROUP and ref.kind != "ExternalArtifact"


def owner_by_labels(labels: Mapping[str, Any]) -> str:
    """Return the id of the owner that Flux's labels name; empty where they name none."""
    for group, kind in _LABELS:
        name, namespace = labels.get(f"{group}/name"), labels.get(f"{group}/namespace")
        if name and namespace:
            return object_id(group, kind, str(namespace), str(name))
    return ""


def to_fact(ref: Ref) -> ObjectRef:
    """Return the reference as facts carry it."""
    return ObjectRef(
        group=ref.group,
        version=ref.version or "v1",
        kind=ref.kind,
        namespace=ref.namespace or None,
        name=ref.name,
        uid=ref.uid or None,
    )


def spoken(ref: Ref) -> str:
    """Return the name as a sentence has it: `Deployment demo/web`."""
    return f"{ref.kind} {ref.namespace}/{ref.name}" if ref.namespace else f"{ref.kind} {ref.name}"

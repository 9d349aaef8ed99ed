"""Who may write what: Flux's controllers, Kubernetes' own, and everyone else.

Names are what clients call themselves: evidence, never proof. Source of the names: managedFields as seen on a real API
server with Flux 2.7.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from abdrift.clock import parse_rfc3339_ms, to_datetime
from abdrift.facts.drift import FieldManager
from abdrift.flux import HELM_CONTROLLER, KUSTOMIZE_CONTROLLER
from streams.drift.compare.changes import unescape
from streams.drift.compare.managed_fields import Entry, FieldSet, entries_of, keys_of

TAKEN_OVER = "kubectl"
"""Prefix of the managers whose fields kustomize-controller makes its own before it applies."""
ABDRIFT = "abdrift"
"""Prefix of the field managers that Abdrift's own sinks use."""

SCALERS = frozenset({"kube-controller-manager"})
"""Who scales for a HorizontalPodAutoscaler."""

_QUIET = frozenset(
    {
        KUSTOMIZE_CONTROLLER,
        HELM_CONTROLLER,
        "source-controller",
        "notification-controller",
        "image-reflector-controller",
        "image-automation-controller",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "cloud-controller-manager",
    }
)
_COUNTED_METADATA = ("/metadata/labels/", "/metadata/annotations/")


def applied(document: Mapping[str, Any], manager: str) -> Entry | None:
    """Return the `Apply` entry of a manager: what it owns, and when it last changed that."""
    for entry in entries_of(document):
        if entry.manager == manager and entry.operation == "Apply" and not entry.subresource:
            return entry
    return None


def strangers(document: Mapping[str, Any]) -> Iterator[Entry]:
    """Yield the entries of everyone but Flux's and Kubernetes' own controllers. Writes of status are left out."""
    for entry in entries_of(document):
        if entry.manager in _QUIET or entry.subresource == "status":
            continue
        yield entry


def is_quiet(entry: Entry) -> bool:
    """Whether the entry is of one of Flux's or Kubernetes' own controllers."""
    return entry.manager in _QUIET


def time_ms(entry: Entry) -> int | None:
    """Return when the entry's manager last changed what it owns; a scale has no time."""
    return parse_rfc3339_ms(entry.time)


def to_fact(entry: Entry) -> FieldManager:
    """Return the manager as facts carry it."""
    moment = time_ms(entry)
    return FieldManager(
        manager=entry.manager,
        operation=entry.operation or None,
        subresource=entry.subresource or None,
        time=to_datetime(moment) if moment is not None else None,
    )


def extract(fields: FieldSet, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of an object that a field set names, as an apply configuration would say it."""
    named = {"apiVersion": document.get("apiVersion"), "kind": document.get("kind")}
    metadata = document["metadata"]
    identity = {key: metadata[key] for key in ("name", "namespace") if key in metadata}
    taken = _taken(fields.tree, document)
    taken = taken if isinstance(taken, dict) else {}
    return {**taken, **named, "metadata": {**taken.get("metadata", {}), **identity}}


def _taken(tree: Mapping[str, Any], value: Any) -> Any:
    if not tree:
        return value
    if isinstance(value, dict):
        children = ((name[2:], node) for name, node in tree.items() if name.startswith("f:"))
        return {key: _taken(node or {}, value[key]) for key, node in children if key in value}
    if isinstance(value, list):
        found = [(index, node or {}, name) for name, node in tree.items() if (index := _index(name, value)) is not None]
        return [_item(node, value[index], name) for index, node, name in sorted(found, key=lambda each: each[0])]
    return value


def _item(tree: Mapping[str, Any], value: Any, name: str) -> Any:
    taken = _taken(tree, value)
    if isinstance(taken, dict) and name.startswith("k:"):
        keys = {key: value[key] for key in keys_of(name) if key in value}
        return {**keys, **taken}
    return taken


def _index(name: str, items: list[Any]) -> int | None:
    if name == ".":
        return None
    found = next(iter(FieldSet({name: {}}).paths(items)), None)
    return int(found[1:]) if found is not None else None


def additions(document: Mapping[str, Any], flux: FieldSet) -> Iterator[tuple[Entry, tuple[str, ...], str]]:
    """Yield what strangers own and Flux does not: whose it is, its node names, and its pointer into the document."""
    for entry in strangers(document):
        for names in entry.fields.difference(flux).leaves():
            pointer = pointer_of(names, document)
            if pointer and counts(pointer):
                yield entry, names, pointer


def pointer_of(names: tuple[str, ...], document: Any) -> str | None:
    """Return where the field of those node names is in a document; None where it is not."""
    tree: dict[str, Any] = {}
    for name in reversed(names):
        tree = {name: tree}
    return next(iter(FieldSet(tree).paths(document)), None)


def counts(pointer: str) -> bool:
    """Whether a field can drift at all: of the metadata only labels and annotations do."""
    if pointer.startswith("/metadata"):
        return pointer.startswith(_COUNTED_METADATA)
    return not pointer.startswith("/status")


def value_at(document: Any, pointer: str) -> Any:
    """Return the value at a JSON pointer; None where there is none."""
    value = document
    for segment in pointer.split("/")[1:]:
        key = unescape(segment)
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value

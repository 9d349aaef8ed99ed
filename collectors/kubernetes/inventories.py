"""Which objects GitOps says it applied, by owner. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from collectors.kubernetes.config import HELM_LABEL, KUSTOMIZE_LABEL

OWNER_LABELS: Mapping[str, str] = {"Kustomization": KUSTOMIZE_LABEL, "HelmRelease": HELM_LABEL}
"""By kind of owner, the label that Flux puts on what it applies."""


@dataclass(frozen=True, slots=True)
class Ref:
    """One inventoried object."""

    group: str
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class OwnerKey:
    """A Kustomization or HelmRelease."""

    kind: str
    namespace: str
    name: str


def parse_id(text: str) -> Ref:
    """Return the object that an inventory entry's id names: `<namespace>_<name>_<group>_<kind>`.

    Names of RBAC objects may hold colons, written as two underscores (fluxcd/cli-utils, object.ParseObjMetadata).

    Raises:
        ValueError: it has not four parts.

    """
    namespace, _, rest = text.partition("_")
    rest, found_kind, kind = rest.rpartition("_")
    name, found_group, group = rest.rpartition("_")
    if not (found_kind and found_group and kind and name):
        raise ValueError(f"inventory id {text!r} is not <namespace>_<name>_<group>_<kind>")
    return Ref(group, kind, namespace, name.replace("__", ":"))


def inventory_of(owner: Mapping[str, Any]) -> tuple[frozenset[Ref], int] | None:
    """Return what the owner's status inventories and how many ids were unreadable; None where there is none.

    What an owner with `spec.kubeConfig` applies lives in another cluster: its inventory is empty here.
    """
    if (owner.get("spec") or {}).get("kubeConfig"):
        return frozenset(), 0
    inventory = (owner.get("status") or {}).get("inventory")
    if not isinstance(inventory, dict):
        return None
    refs: set[Ref] = set()
    unreadable = 0
    for entry in inventory.get("entries") or ():
        try:
            refs.add(parse_id(entry["id"]))
        except (KeyError, TypeError, ValueError):
            unreadable += 1
    return frozenset(refs), unreadable


def refs_of_manifests(objects: Iterable[Mapping[str, Any]]) -> frozenset[Ref]:
    """Return the objects of a release's manifest, whose namespaces have been filled in."""
    return frozenset(
        Ref(
            str(obj.get("apiVersion", "")).rpartition("/")[0],
            str(obj["kind"]),
            str(obj["metadata"].get("namespace") or ""),
            str(obj["metadata"]["name"]),
        )
        for obj in objects
    )


@dataclass(slots=True)
class Inventories:
    """All owners' inventories of one cluster. A kind once inventoried stays watched."""

    _by_owner: dict[OwnerKey, frozenset[Ref]] = field(default_factory=dict)
    _owner_of: dict[Ref, OwnerKey] = field(default_factory=dict)
    _labels: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def put(self, owner: OwnerKey, refs: frozenset[Ref]) -> bool:
        """Set an owner's inventory. Return whether that changed anything."""
        if self._by_owner.get(owner) == refs:
            return False
        self._disown(owner, self._by_owner.get(owner, frozenset()) - refs)
        self._by_owner[owner] = refs
        for ref in refs:
            self._owner_of[ref] = owner
            self._labels.setdefault((ref.group, ref.kind), set()).add(OWNER_LABELS[owner.kind])
        return True

    def remove(self, owner: OwnerKey) -> bool:
        """Forget an owner that is gone. Return whether it was known."""
        refs = self._by_owner.pop(owner, None)
        self._disown(owner, refs or frozenset())
        return refs is not None

    def owner_of(self, ref: Ref) -> OwnerKey | None:
        """Return the owner whose inventory names an object; the last to do so where several do."""
        return self._owner_of.get(ref)

    def _disown(self, owner: OwnerKey, refs: Iterable[Ref]) -> None:
        for ref in refs:
            if self._owner_of.get(ref) == owner:
                del self._owner_of[ref]

    def selectors(self) -> dict[tuple[str, str], frozenset[str]]:
        """Return by (group, kind) the labels by which its objects are to be watched."""
        return {kind: frozenset(labels) for kind, labels in self._labels.items()}

    def keys_by_kind(self) -> dict[tuple[str, str], set[tuple[str, str]]]:
        """Return by (group, kind) the (namespace, name) that some inventory names."""
        found: dict[tuple[str, str], set[tuple[str, str]]] = {kind: set() for kind in self._labels}
        for refs in self._by_owner.values():
            for ref in refs:
                found[ref.group, ref.kind].add((ref.namespace, ref.name))
        return found

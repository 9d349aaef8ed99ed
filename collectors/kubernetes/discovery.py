"""Which kinds a cluster serves, and where: the preferred version of each that can be listed and watched."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from abdrift.kubeapi import Resource
from collectors.kubernetes.api import DISCOVERY, Api, ApiRefusedError

GroupKind = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Served:
    """A kind as this cluster serves it."""

    kind: str
    resource: Resource
    watchable: bool

    @property
    def group_kind(self) -> GroupKind:
        """Group and kind, by which inventories name it."""
        return self.resource.group, self.kind


Catalogue = Mapping[GroupKind, Served]


async def discover(api: Api) -> Catalogue:
    """Return all kinds served. Groups whose own server does not answer are left out, as the API server does.

    Raises:
        ApiRefusedError, UnreachableError: discovery itself failed.

    """
    found: dict[GroupKind, Served] = {}
    for root in ("/api", "/apis"):
        answer = await api.get(root, accept=DISCOVERY)
        if answer.get("kind") == "APIGroupDiscoveryList":
            served = list(_aggregated(answer))
        else:
            served = await _by_version(api, root, answer)
        for each in served:
            # Versions come in order of preference, so the first that can be watched wins.
            if not (known := found.get(each.group_kind)) or (each.watchable and not known.watchable):
                found[each.group_kind] = each
    return found


def _aggregated(answer: Mapping[str, Any]) -> Iterator[Served]:
    for group in answer.get("items") or ():
        name = (group.get("metadata") or {}).get("name") or ""
        for version in group.get("versions") or ():
            for resource in version.get("resources") or ():
                kind = (resource.get("responseKind") or {}).get("kind") or ""
                namespaced = resource.get("scope") == "Namespaced"
                where = Resource(name, version["version"], resource["resource"], namespaced)
                yield Served(kind, where, _watchable(resource))


async def _by_version(api: Api, root: str, answer: Mapping[str, Any]) -> list[Served]:
    """Ask version by version, as servers before Kubernetes 1.26 want it."""
    served: list[Served] = []
    for group, version in _versions(answer):
        path = f"{root}/{version}" if root == "/api" else f"{root}/{group}/{version}"
        try:
            listed = await api.get(path)
        except ApiRefusedError:
            continue
        for resource in listed.get("resources") or ():
            if "/" not in resource["name"]:
                where = Resource(group, version, resource["name"], bool(resource.get("namespaced")))
                served.append(Served(resource["kind"], where, _watchable(resource)))
    return served


def _versions(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for version in answer.get("versions") or ():
        yield "", version
    for group in answer.get("groups") or ():
        preferred = (group.get("preferredVersion") or {}).get("version")
        versions = [each["version"] for each in group.get("versions") or ()]
        for version in sorted(versions, key=lambda each: each != preferred):
            yield group["name"], version


def _watchable(resource: Mapping[str, Any]) -> bool:
    return {"list", "watch"} <= set(resource.get("verbs") or ())

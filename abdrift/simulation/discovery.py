"""Discovery documents: /version, /api, /apis, and the aggregated form."""

from itertools import groupby

from abdrift.simulation.kinds import Kind, Kinds
from abdrift.simulation.objects import Object

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]

VERSION: Object = {
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.4-sim",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "go1.24.0",
    "compiler": "gc",
    "platform": "linux/amd64",
}


def _subresources(kind: Kind) -> list[str]:
    return [name for name, has in (("status", kind.status), ("scale", kind.scale)) if has]


def groups(kinds: Kinds) -> dict[tuple[str, str], list[Kind]]:
    """Kinds by group and version."""
    ordered = sorted(kinds, key=lambda kind: (kind.group, kind.version, kind.plural))
    return {key: list(found) for key, found in groupby(ordered, key=lambda kind: (kind.group, kind.version))}


def resources(kinds: Kinds, group: str, version: str) -> Object | None:
    """APIResourceList of a group and version, None when it is not served."""
    found = groups(kinds).get((group, version))
    if found is None:
        return None
    listed: list[Object] = []
    for kind in found:
        shape = {"singularName": kind.name.lower(), "namespaced": kind.namespaced, "kind": kind.name}
        listed.append({"name": kind.plural, **shape, "verbs": _VERBS})
        for each in _subresources(kind):
            scale = {"group": "autoscaling", "version": "v1", "kind": "Scale"} if each == "scale" else {}
            listed.append(
                {
                    "name": f"{kind.plural}/{each}",
                    **shape,
                    "singularName": "",
                    **scale,
                    "verbs": ["get", "patch", "update"],
                }
            )
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}


def group_list(kinds: Kinds) -> Object:
    """APIGroupList."""
    listed = []
    for group, version in groups(kinds):
        if group:
            entry = {"groupVersion": f"{group}/{version}", "version": version}
            listed.append({"name": group, "versions": [entry], "preferredVersion": entry})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def aggregated(kinds: Kinds, *, core: bool) -> Object:
    """APIGroupDiscoveryList of the core group or of all others."""
    items = []
    for (group, version), found in groups(kinds).items():
        if (group == "") == core:
            served = {"version": version, "resources": [_aggregated(kind) for kind in found], "freshness": "Current"}
            items.append({"metadata": {"name": group} if group else {}, "versions": [served]})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated(kind: Kind) -> Object:
    response = {"group": kind.group, "version": kind.version, "kind": kind.name}
    listed: Object = {
        "resource": kind.plural,
        "responseKind": response,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.name.lower(),
        "verbs": _VERBS,
    }
    if _subresources(kind):
        listed["subresources"] = [
            {"subresource": each, "responseKind": response, "verbs": ["get", "patch", "update"]}
            for each in _subresources(kind)
        ]
    return listed

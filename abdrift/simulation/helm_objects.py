"""What Helm does to a cluster's objects: install and upgrade them, find how they drifted, correct, delete.

As Flux 2.7's helm-controller was seen to: every write an `Update` under its name, no Apply entry.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from abdrift.simulation import defaults, field_sets, managed_fields, patches
from abdrift.simulation.apiserver import ApiServer, Options, Target
from abdrift.simulation.errors import ApiError
from abdrift.simulation.flux_apply import subject
from abdrift.simulation.managed_fields import Author
from abdrift.simulation.objects import Object, annotations_of, clone, name_of, namespace_of

MANAGER = "helm-controller"
GROUP = "helm.toolkit.fluxcd.io"
_OPTIONS = Options(MANAGER)


@dataclass(frozen=True, slots=True)
class Owner:
    """The HelmRelease and the release its objects carry the marks of."""

    name: str
    namespace: str
    release: str
    release_namespace: str


def marked(api: ApiServer, owner: Owner, obj: Object) -> Object:
    """Give an object as Helm sends it: labels and annotations of its release, namespace filled in."""
    sent = clone(obj)
    metadata = sent["metadata"]
    if api.kinds.of(sent["apiVersion"], sent["kind"]).namespaced:
        metadata.setdefault("namespace", owner.release_namespace)
    metadata.setdefault("labels", {}).update(
        {
            "app.kubernetes.io/managed-by": "Helm",
            f"{GROUP}/name": owner.name,
            f"{GROUP}/namespace": owner.namespace,
        }
    )
    metadata.setdefault("annotations", {}).update(
        {"meta.helm.sh/release-name": owner.release, "meta.helm.sh/release-namespace": owner.release_namespace}
    )
    return sent


def _target(api: ApiServer, obj: Object) -> Target:
    return Target(api.kinds.of(obj["apiVersion"], obj["kind"]), namespace_of(obj), name_of(obj))


def _desired(target: Target, live: Object, obj: Object) -> Object:
    """Give the live object with what the manifest says; what only others added stays."""
    return managed_fields.apply(target.kind, live, obj, Author(MANAGER, "Apply"), force=True)


def install(api: ApiServer, objects: Iterable[Object]) -> None:
    """Create, or bring to the manifest what is already there. Raises ApiError in Helm's words."""
    for obj in objects:
        target = _target(api, obj)
        live = api.find(target.kind, target.namespace, target.name)
        with _worded("1 error occurred:\n\t* "):
            if live is None:
                api.create(target.kind, target.namespace, clone(obj), _OPTIONS)
            else:
                api.replace(target, _desired(target, live, obj), _OPTIONS)


@contextlib.contextmanager
def _worded(before: str) -> Iterator[None]:
    """Put Helm's words before a refusal of the API server."""
    try:
        yield
    except ApiError as error:
        raise ApiError(error.code, error.reason, f"{before}{error}") from error


def upgrade(api: ApiServer, old: Iterable[Object], new: list[Object]) -> None:
    """Three-way: what the new manifest says, less what only the old one said. Raises ApiError."""
    old_objects = {subject(obj): obj for obj in old}
    for obj in new:
        target = _target(api, obj)
        live = api.find(target.kind, target.namespace, target.name)
        before = old_objects.pop(subject(obj), None)
        if live is not None and before is not None:
            live = patches.merge(live, _only_old(before, obj))
            with _worded(f'cannot patch "{target.name}" with kind {target.kind.name}: '):
                api.replace(target, _desired(target, live, obj), _OPTIONS)
        elif live is None:
            with _worded("failed to create resource: "):
                api.create(target.kind, target.namespace, clone(obj), _OPTIONS)
        else:
            install(api, [obj])
    delete(api, old_objects.values())


def _only_old(old: Object, new: Object) -> Object:
    """Give a merge patch that removes what the new manifest no longer has."""
    patch: Object = {}
    for key, value in old.items():
        if key not in new:
            patch[key] = None
        elif isinstance(value, dict) and isinstance(new[key], dict):
            inner = _only_old(value, new[key])
            if inner:
                patch[key] = inner
    return patch


def delete(api: ApiServer, objects: Iterable[Object]) -> None:
    """Delete what is there, unless it asks to be kept."""
    for obj in objects:
        target = _target(api, obj)
        live = api.find(target.kind, target.namespace, target.name)
        if live is not None and annotations_of(live).get("helm.sh/resource-policy") != "keep":
            api.delete(target, _OPTIONS)


def drift(api: ApiServer, objects: Iterable[Object], ignored: Iterable[str]) -> tuple[list[str], list[Object]]:
    """How live objects differ from their manifests, in helm-controller's words, and which manifests those are.

    `ignored` are JSON pointers of `spec.driftDetection.ignore`.
    """
    paths = [pointer.strip("/").split("/") for pointer in ignored]
    lines, drifted = [], []
    for obj in objects:
        target = _target(api, obj)
        live = api.find(target.kind, target.namespace, target.name)
        if live is None:
            lines.append(f"{subject(obj)} removed")
            drifted.append(obj)
            continue
        if annotations_of(live).get(f"{GROUP}/driftDetection") == "disabled":
            continue
        change = _difference(target, live, obj)
        counts = [len([path for path in found if not _is_ignored(path, paths)]) for found in change]
        if any(counts):
            added, modified, removed = counts
            lines.append(f"{subject(obj)} changed ({added} additions, {modified} changes, {removed} removals)")
            drifted.append(obj)
    return lines, drifted


def _difference(target: Target, live: Object, obj: Object) -> tuple[set[field_sets.Path], ...]:
    desired = clone(_desired(target, live, obj))
    defaults.fill(target.kind, desired)
    change = field_sets.difference(target.kind, live, desired)
    return change.added, change.modified, change.removed


def _is_ignored(path: field_sets.Path, ignored: list[list[str]]) -> bool:
    names = [segment[2:] for segment in path]
    return any(names[: len(each)] == each for each in ignored)

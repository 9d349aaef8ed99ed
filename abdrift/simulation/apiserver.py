"""One simulated API server without its HTTP: reads and writes with the semantics of the real one.

Controllers call it directly, `http` calls it for clients. Refusals are `ApiError`.
"""

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from abdrift.simulation import defaults, errors, managed_fields, patches
from abdrift.simulation.kinds import Kind, Kinds
from abdrift.simulation.managed_fields import Author, ConflictError
from abdrift.simulation.objects import Object, clone, name_of
from abdrift.simulation.schedule import timestamp
from abdrift.simulation.storage import Store

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

_KEPT_METADATA = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")


@dataclass(frozen=True, slots=True)
class Target:
    """What a write is aimed at."""

    kind: Kind
    namespace: str
    name: str
    subresource: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The key in the store."""
        return (self.namespace if self.kind.namespaced else "", self.name)


@dataclass(frozen=True, slots=True)
class Options:
    """How a write is made, as query parameters say."""

    manager: str
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """What an apply would make of an object."""

    version: int
    """Of the live object, 0 if there is none."""
    live: Object | None
    new: Object
    """Without its managedFields."""


class ApiServer:
    """The API of one cluster."""

    def __init__(self, kinds: Kinds, store: Store, now_ns: Callable[[], int], random_source: random.Random) -> None:
        self.kinds = kinds
        self.store = store
        self._now_ns = now_ns
        self._random = random_source

    def time(self) -> str:
        """Give the API server's own time, RFC 3339 in seconds."""
        return timestamp(self._now_ns())

    def new_uid(self) -> str:
        """Give a UID from the seed."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Give an object, None if there is none."""
        stored = self.store.get(kind, (namespace if kind.namespaced else "", name))
        return stored.value() if stored else None

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Give an object. Raises ApiError 404."""
        found = self.find(kind, namespace, name)
        if found is None:
            raise errors.not_found(kind, name)
        return found

    def list(self, kind: Kind, namespace: str = "") -> list[Object]:
        """All objects of a kind."""
        return [each.value() for each in self.store.all(kind, namespace)]

    def create(self, kind: Kind, namespace: str, obj: Object, options: Options) -> Object:
        """Create. Raises ApiError 404 (namespace), 409, 422."""
        metadata = obj.setdefault("metadata", {})
        if "name" not in metadata and "generateName" in metadata:
            metadata["name"] = f"{metadata['generateName']}{self._random.getrandbits(25):05x}"
        target = Target(kind, namespace, metadata.get("name", ""))
        if self.store.get(kind, target.key) is not None:
            raise errors.already_exists(kind, target.name)
        new = {key: value for key, value in obj.items() if key != "status" or not kind.status}
        return self._update(target, None, new, options)

    def replace(self, target: Target, obj: Object, options: Options) -> Object:
        """PUT. Raises ApiError 404, 409 (version), 422."""
        live = self.get(target.kind, target.namespace, target.name)
        if target.subresource == "scale":
            return self._scale(target, live, obj, options)
        return self._update(target, live, obj, options)

    def patch(self, target: Target, media_type: str, body: object, options: Options) -> Object:
        """PATCH in any of the four formats. Raises ApiError 400, 404, 409, 415, 422."""
        if media_type == APPLY:
            if not isinstance(body, dict):
                raise errors.bad_request("the body of an apply must be an object")
            return self.apply(target, body, options)
        live = self.get(target.kind, target.namespace, target.name)
        base = scale_of(live) if target.subresource == "scale" else live
        try:
            new = self._patched(target.kind, media_type, base, body)
        except patches.PatchError as error:
            raise errors.ApiError(422, "Invalid", str(error)) from error
        if target.subresource == "scale":
            return self._scale(target, live, new, options)
        return self._update(target, live, new, options)

    @staticmethod
    def _patched(kind: Kind, media_type: str, live: Object, body: object) -> Object:
        if media_type == JSON:
            if not isinstance(body, list):
                raise errors.bad_request("a JSON patch is a list of operations")
            return patches.json_patch(live, body)
        if media_type == STRATEGIC and not kind.custom:
            merged: Object = patches.strategic_merge(kind, live, body)
            return merged
        if media_type == MERGE:
            plain: Object = patches.merge(live, body)
            return plain
        raise errors.ApiError(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: "
            f"{JSON}, {MERGE}, {APPLY}",
        )

    def _scale(self, target: Target, live: Object, scale: Object, options: Options) -> Object:
        if not target.kind.scale:
            raise errors.no_such_path()
        new = clone(live)
        new["spec"]["replicas"] = (scale.get("spec") or {}).get("replicas", 0)
        return scale_of(self._update(target, live, new, options))

    def apply(self, target: Target, config: Object, options: Options, planned: Planned | None = None) -> Object:
        """Server-side apply, creating what is missing. Raises ApiError 404 (namespace), 409, 422.

        `planned` is what `plan_apply` gave for the same arguments; it is used if the object is as it was.
        """
        stored = self.store.get(target.kind, target.key)
        if planned is None or planned.version != (stored.version if stored else 0):
            planned = self._planned(target, config, options)
        author = Author(options.manager, "Apply", target.subresource)
        recorded = managed_fields.record_apply(target.kind, planned.live, planned.new, config, author, self.time())
        return self._commit(target, planned.live, recorded, options)

    def plan_apply(self, target: Target, config: Object, options: Options) -> Planned:
        """Do what a dry run of `apply` does, but for its answer. Raises ApiError like it."""
        planned = self._planned(target, config, options)
        if planned.live is None:
            self._require_namespace(target)
        return planned

    def _planned(self, target: Target, config: Object, options: Options) -> Planned:
        author = Author(options.manager, "Apply", target.subresource)
        stored = self.store.get(target.kind, target.key)
        live = stored.value() if stored else None
        try:
            new = managed_fields.apply(target.kind, live, config, author, force=options.force)
        except ConflictError as error:
            listed = [(manager, _dotted(path)) for manager, path in error.conflicts]
            raise errors.apply_conflict(listed) from error
        return Planned(stored.version if stored else 0, live, self._prepared(target, live, new))

    def _require_namespace(self, target: Target) -> None:
        namespaces = self.kinds.named("Namespace")
        if target.kind.namespaced and self.store.get(namespaces, ("", target.namespace)) is None:
            raise errors.not_found(namespaces, target.namespace)

    def _update(self, target: Target, live: Object | None, new: Object, options: Options) -> Object:
        wanted = new.get("metadata", {}).get("resourceVersion")
        if live is not None and wanted and wanted != live["metadata"]["resourceVersion"]:
            raise errors.modified(target.kind, target.name)
        prepared = self._prepared(target, live, new)
        author = Author(options.manager, "Update", target.subresource)
        recorded = managed_fields.record_update(target.kind, live, prepared, author, self.time())
        return self._commit(target, live, recorded, options)

    def _prepared(self, target: Target, live: Object | None, new: Object) -> Object:
        """Give the object as it will be stored, but for its managedFields and version."""
        kind = target.kind
        if target.subresource == "status" and live is not None:
            # A status write reaches the status and annotations (the deployment controller's revision), nothing else.
            metadata = {**live["metadata"], "annotations": new["metadata"].get("annotations")}
            if not metadata["annotations"]:
                del metadata["annotations"]
            new = {**live, "metadata": metadata, "status": new.get("status", {})}
        elif live is not None and kind.status:
            new = {key: value for key, value in new.items() if key != "status"}
            if "status" in live:
                new["status"] = live["status"]
        prepared = {"apiVersion": kind.api_version, "kind": kind.name, **new}
        prepared["metadata"] = self._metadata(target, live, new)
        if isinstance(prepared.get("spec"), dict):
            prepared["spec"] = dict(prepared["spec"])
        defaults.fill(kind, prepared)
        problems = defaults.problems(kind, prepared)
        if problems:
            raise errors.invalid(kind, target.name, problems)
        return prepared

    def _metadata(self, target: Target, live: Object | None, new: Object) -> Object:
        metadata = {key: value for key, value in new.get("metadata", {}).items() if key not in _KEPT_METADATA}
        for field in ("labels", "annotations", "finalizers", "ownerReferences"):
            if metadata.get(field) is None:
                metadata.pop(field, None)
        metadata["name"] = target.name
        if target.kind.namespaced:
            metadata["namespace"] = target.namespace
        if live is not None:
            kept = {key: live["metadata"][key] for key in _KEPT_METADATA if key in live["metadata"]}
            return {**metadata, **kept, "resourceVersion": live["metadata"]["resourceVersion"]}
        metadata.pop("resourceVersion", None)
        metadata |= {"uid": self.new_uid(), "creationTimestamp": self.time()}
        if target.kind.generation:
            metadata["generation"] = 1
        return metadata

    def _commit(self, target: Target, live: Object | None, new: Object, options: Options) -> Object:
        kind = target.kind
        if live is None:
            self._require_namespace(target)
        else:
            if _same(live, new):
                return live
            if kind.generation and _content(live) != _content(new):
                new["metadata"]["generation"] = live["metadata"].get("generation", 1) + 1
        if options.dry_run:
            return new
        metadata = new["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            return self.store.remove(kind, target.key)
        return self.store.put(kind, new)

    def delete(self, target: Target, options: Options) -> Object:
        """Delete, or mark as being deleted while there are finalizers. Raises ApiError 404."""
        live = self.get(target.kind, target.namespace, target.name)
        metadata = live["metadata"]
        if options.dry_run:
            return live
        if metadata.get("finalizers"):
            if "deletionTimestamp" not in metadata:
                metadata |= {"deletionTimestamp": self.time(), "deletionGracePeriodSeconds": 0}
                if "generation" in metadata:
                    metadata["generation"] += 1
                return self.store.put(target.kind, live)
            return live
        if target.kind.name == "Namespace":
            self._empty(name_of(live))
        return self.store.remove(target.kind, target.key)

    def _empty(self, namespace: str) -> None:
        for kind in self.kinds:
            if kind.namespaced:
                for stored in list(self.store.all(kind, namespace)):
                    self.store.remove(kind, stored.key)


def scale_of(obj: Object) -> Object:
    """Give the `autoscaling/v1` Scale of a workload."""
    metadata = obj["metadata"]
    selector = ((obj.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {k: metadata[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")},
        "spec": {"replicas": obj["spec"].get("replicas", 1)},
        "status": {
            "replicas": (obj.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(selector.items())),
        },
    }


def _dotted(path: tuple[str, ...]) -> str:
    return "".join("." + each[2:] if each.startswith("f:") else f"[{each[2:]}]" for each in path)


def _content(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key not in ("metadata", "status", "kind", "apiVersion")}


def _same(live: Object, new: Object) -> bool:
    """Whether a write changes nothing but times in managedFields; the real server then keeps the version."""
    if _content(live) != _content(new) or live.get("status") != new.get("status"):
        return False
    return _untimed(live["metadata"]) == _untimed(new["metadata"])


def _untimed(metadata: Object) -> Object:
    entries = [{**each, "time": None} for each in metadata.get("managedFields") or ()]
    entries.sort(key=lambda e: (e["manager"], e["operation"], e.get("subresource", "")))
    return {**metadata, "managedFields": entries}

"""How Flux's kustomize-controller applies manifests: what it skips, hands over, reverts and prunes."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from abdrift.simulation import managed_fields
from abdrift.simulation.apiserver import ApiServer, Options, Planned, Target
from abdrift.simulation.errors import ApiError
from abdrift.simulation.kinds import Kind
from abdrift.simulation.managed_fields import Author
from abdrift.simulation.objects import Object, annotations_of, clone, labels_of, name_of, namespace_of

MANAGER = "kustomize-controller"
GROUP = "kustomize.toolkit.fluxcd.io"
RECONCILE, SSA, PRUNE = f"{GROUP}/reconcile", f"{GROUP}/ssa", f"{GROUP}/prune"
_FIRST = ("CustomResourceDefinition", "Namespace", "ServiceAccount")
_STRATEGIES = {"Deployment": "strategy", "StatefulSet": "updateStrategy", "DaemonSet": "updateStrategy"}


@dataclass(slots=True)
class Applied:
    """What came of applying a set of manifests."""

    entries: list[Object] = field(default_factory=list)
    """`status.inventory.entries`."""
    changes: list[str] = field(default_factory=list)
    """`Deployment/demo/web configured`, as the Progressing event lists them."""


def build(kind_of: ApiServer, owner: Object, manifests: Iterable[Object]) -> list[Object]:
    """Manifests as they are sent: target namespace, owner's labels, the empty structs that Flux's types add."""
    built = []
    for manifest in manifests:
        obj = clone(manifest)
        kind = kind_of.kinds.of(obj["apiVersion"], obj["kind"])
        if kind.namespaced:
            target = owner["spec"].get("targetNamespace")
            obj["metadata"]["namespace"] = target or obj["metadata"].get("namespace") or "default"
        labels = obj["metadata"].setdefault("labels", {})
        labels |= {f"{GROUP}/name": name_of(owner), f"{GROUP}/namespace": namespace_of(owner)}
        if kind.name in _STRATEGIES:
            obj["spec"].setdefault(_STRATEGIES[kind.name], {})
            for container in obj["spec"]["template"]["spec"].get("containers", []):
                container.setdefault("resources", {})
        built.append(obj)
    return sorted(built, key=lambda obj: (obj["kind"] not in _FIRST, obj["kind"] not in _FIRST[:2]))


def subject(obj: Object) -> str:
    """`Deployment/demo/web`."""
    return "/".join(filter(None, (obj["kind"], namespace_of(obj), name_of(obj))))


def entry_of(kind: Kind, obj: Object) -> Object:
    """Give an inventory entry."""
    name = name_of(obj).replace(":", "__")
    return {"id": f"{namespace_of(obj)}_{name}_{kind.group}_{kind.name}", "v": kind.version}


def _skipped(live: Object | None, obj: Object) -> bool:
    for each in (live, obj):
        if each is not None:
            notes = {**labels_of(each), **annotations_of(each)}
            if notes.get(RECONCILE) == "disabled" or notes.get(SSA) == "Ignore":
                return True
            if live is not None and notes.get(SSA) == "IfNotPresent":
                return True
    return False


def _is_disabled(live: Object | None) -> bool:
    return live is not None and {**labels_of(live), **annotations_of(live)}.get(RECONCILE) == "disabled"


def apply_all(api: ApiServer, objects: list[Object]) -> Applied:
    """Dry-run all, then apply all. Raises ApiError with Flux's message; then nothing was applied."""
    options = Options(MANAGER, force=True)
    plans: dict[Target, Planned | None] = {}
    for obj in objects:
        target = _target(api, obj)
        if not _skipped(api.find(target.kind, target.namespace, target.name), obj):
            plans[target] = _dry_run(api, target, obj, objects)
    applied = Applied()
    for obj in objects:
        target = _target(api, obj)
        live = api.find(target.kind, target.namespace, target.name)
        if not _is_disabled(live):  # what is, leaves the inventory with the first reconcile that skips it
            applied.entries.append(entry_of(target.kind, obj))
        if _skipped(live, obj):
            continue
        if live is not None and annotations_of(obj).get(SSA) != "Merge":
            _adopt(api, target, live)
        version = live["metadata"]["resourceVersion"] if live else ""
        new = api.apply(target, obj, options, plans.get(target))
        if live is None:
            applied.changes.append(f"{subject(obj)} created")
        elif new["metadata"]["resourceVersion"] != version:
            applied.changes.append(f"{subject(obj)} configured")
    applied.entries.sort(key=lambda entry: str(entry["id"]))
    return applied


def _target(api: ApiServer, obj: Object) -> Target:
    kind = api.kinds.of(obj["apiVersion"], obj["kind"])
    return Target(kind, namespace_of(obj), name_of(obj))


def _dry_run(api: ApiServer, target: Target, obj: Object, objects: list[Object]) -> Planned | None:
    """Give what applying an object would make, None if that can't be told before its namespace is there."""
    try:
        return api.plan_apply(target, obj, Options(MANAGER, force=True))
    except ApiError as error:
        comes_along = any(each["kind"] == "Namespace" and name_of(each) == target.namespace for each in objects)
        if error.reason == "NotFound" and comes_along:
            return None
        message = f"{subject(obj)} dry-run failed ({error.reason}): {error}\n"
        raise ApiError(error.code, error.reason, message) from error


def _adopt(api: ApiServer, target: Target, live: Object) -> None:
    """Take over what kubectl wrote, so that applying takes it out again."""
    fallback = {"apiVersion": target.kind.api_version, "time": api.time()}
    exact = ("before-first-apply", MANAGER)
    adopted = managed_fields.adopt(live, ("kubectl",), exact, Author(MANAGER, "Apply"), fallback)
    if adopted is not live:
        api.store.put(target.kind, adopted)


def prune(api: ApiServer, owner: Object, entries: Iterable[Object]) -> list[str]:
    """Delete what these inventory entries name, if it still is the owner's and does not refuse; what was deleted."""
    gone = []
    for entry in entries:
        target = target_of(api, str(entry["id"]))
        live = api.find(target.kind, target.namespace, target.name)
        if live is None:
            continue
        notes = {**labels_of(live), **annotations_of(live)}
        refuses = notes.get(PRUNE) == "disabled" or notes.get(RECONCILE) == "disabled"
        if notes.get(f"{GROUP}/name") == name_of(owner) and not refuses:
            api.delete(target, Options(MANAGER))
            gone.append(f"{subject(live)} deleted")
    return gone


def target_of(api: ApiServer, entry_id: str) -> Target:
    """Tell what an inventory entry's id names."""
    namespace, _, rest = entry_id.partition("_")
    name, group, kind_name = rest.rsplit("_", 2)
    kind = api.kinds.of(f"{group}/" if group else "", kind_name)
    return Target(kind, namespace, name.replace("__", ":"))

"""The requests of each fault, as a person with kubectl would send them. Pure: nothing here does I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from abdrift.simulation.apiserver import APPLY, JSON, MERGE, STRATEGIC
from abdrift.simulation.kinds import Kind
from abdrift.simulation.objects import Object, clone
from abdrift.simulation.plan import Fault, FaultKind, ObjectRef

RECONCILE_ANNOTATION = "kustomize.toolkit.fluxcd.io/reconcile"


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a cluster, its path under the cluster's URL."""

    method: str
    path: str
    body: Any = None
    media_type: str = "application/json"
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Path and query."""
        return f"{self.path}?{urlencode(self.parameters)}" if self.parameters else self.path


def path_of(kind: Kind, ref: ObjectRef, subresource: str = "", *, collection: bool = False) -> str:
    """Give the path of an object, or of the collection it is created in."""
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    namespace = f"/namespaces/{ref.namespace}" if kind.namespaced else ""
    name = "" if collection else f"/{ref.name}"
    return f"{root}{namespace}/{kind.plural}{name}{'/' + subresource if subresource else ''}"


def _container(live: Object, **fields: Any) -> Object:
    name = live["spec"]["template"]["spec"]["containers"][0]["name"]
    return {"spec": {"template": {"spec": {"containers": [{"name": name, **fields}]}}}}


@dataclass(frozen=True, slots=True)
class _Edit:
    """An edit about to be made."""

    fault: Fault
    kind: Kind
    live: Object
    claimed: Object

    def patch(self, body: Any, media_type: str, manager: str, subresource: str = "") -> list[Request]:
        """One PATCH under a field manager; without one the User-Agent names it."""
        path = path_of(self.kind, self.fault.object, subresource)
        return [Request("PATCH", path, body, media_type, {"fieldManager": manager} if manager else {})]


def _image(edit: _Edit) -> list[Request]:
    return edit.patch(_container(edit.live, image="registry.invalid/hot:fix"), STRATEGIC, "kubectl-set")


def _scale(edit: _Edit) -> list[Request]:
    return edit.patch({"spec": {"replicas": edit.fault.detail["replicas"]}}, MERGE, "", "scale")


def _env_added(edit: _Edit) -> list[Request]:
    return edit.patch(_container(edit.live, env=[{"name": "DEBUG", "value": "1"}]), STRATEGIC, "kubectl-set")


def _label_added(edit: _Edit) -> list[Request]:
    return edit.patch({"metadata": {"labels": {"oncall": "alice"}}}, MERGE, "kubectl-label")


def _field_removed(edit: _Edit) -> list[Request]:
    body = [{"op": "remove", "path": "/spec/template/spec/containers/0/env"}]
    return edit.patch(body, JSON, "kubectl-edit")


def _as_controller(edit: _Edit) -> list[Request]:
    """Apply as Flux does, with another image; the labels of the live object keep its owner."""
    config = clone(edit.claimed)
    config["metadata"]["labels"] = edit.live["metadata"]["labels"]
    config["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.invalid/quiet:edit"
    path = path_of(edit.kind, edit.fault.object)
    return [Request("PATCH", path, config, APPLY, {"fieldManager": "kustomize-controller", "force": "true"})]


def _data(edit: _Edit) -> list[Request]:
    return edit.patch({"data": {"color": "red"}}, MERGE, "kubectl-edit")


def _deleted(edit: _Edit) -> list[Request]:
    return [Request("DELETE", path_of(edit.kind, edit.fault.object))]


def _recreated(edit: _Edit) -> list[Request]:
    ref, kind = edit.fault.object, edit.kind
    body = {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"name": ref.name, "namespace": ref.namespace},
        "data": {**edit.live["data"], "color": "red"},
    }
    path = path_of(kind, ref, collection=True)
    return [*_deleted(edit), Request("POST", path, body, parameters={"fieldManager": "kubectl-create"})]


def _suspended(edit: _Edit) -> list[Request]:
    return edit.patch({"spec": {"suspend": True}}, MERGE, "flux")


def _reconcile_disabled(edit: _Edit) -> list[Request]:
    return edit.patch({"metadata": {"annotations": {RECONCILE_ANNOTATION: "disabled"}}}, MERGE, "kubectl-annotate")


def _respelled(edit: _Edit) -> list[Request]:
    wanted = {"requests": {"cpu": "0.500", "memory": "1048576Ki"}}
    return edit.patch(_container(edit.live, resources=wanted), STRATEGIC, "kubectl-edit")


def _status_written(edit: _Edit) -> list[Request]:
    noticed = {"type": "Noticed", "status": "True", "reason": "Test", "message": "a status write"}
    return edit.patch({"status": {"conditions": [noticed]}}, STRATEGIC, "some-operator", "status")


_EDITS: Mapping[FaultKind, Callable[[_Edit], list[Request]]] = {
    FaultKind.IMAGE: _image,
    FaultKind.SCALE: _scale,
    FaultKind.ENV_ADDED: _env_added,
    FaultKind.LABEL_ADDED: _label_added,
    FaultKind.FIELD_REMOVED: _field_removed,
    FaultKind.AS_CONTROLLER: _as_controller,
    FaultKind.DATA: _data,
    FaultKind.DELETED: _deleted,
    FaultKind.RECREATED: _recreated,
    FaultKind.SUSPENDED: _suspended,
    FaultKind.RECONCILE_DISABLED: _reconcile_disabled,
    FaultKind.RESPELLED: _respelled,
    FaultKind.STATUS_WRITTEN: _status_written,
}


def requests(fault: Fault, kind: Kind, live: Object, claimed: Object | None = None) -> list[Request]:
    """List what to send for an edit.

    `live` is the object as it is, `claimed` the manifest that Git has for it, needed to apply as Flux does. Raises
    KeyError for faults that are no edits of an object.
    """
    return _EDITS[fault.kind](_Edit(fault, kind, live, claimed or live))

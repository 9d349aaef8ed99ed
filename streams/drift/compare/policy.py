"""Whose habits count: what the engine behind a field manager compares and leaves alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from abdrift.flux import HELM_CONTROLLER, KUSTOMIZE_CONTROLLER
from streams.drift.compare import known_types, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.drift.compare.known_types import KnownFields

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
MANAGERS: Final = (KUSTOMIZE_CONTROLLER, HELM_CONTROLLER, "argocd-controller")
"""Whose fields count where no manager is named."""

_KUSTOMIZE_SKIPS: Final = {
    "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
    "kustomize.toolkit.fluxcd.io/ssa": "ignore",
}
_KUSTOMIZE_KEEPS: Final = {"kustomize.toolkit.fluxcd.io/ssa": "ifnotpresent"}
_HELM_SKIPS: Final = {"helm.toolkit.fluxcd.io/driftDetection": "disabled"}


@dataclass(frozen=True, slots=True)
class Policy:
    """One engine's habits.

    `metadata` are the fields of metadata that count. `skips` (of either object) and `keeps` (of desired) are labels
    or annotations that exempt an object. `added_metadata` tells whether a label or an annotation that an apply would
    take away counts; `foreign_writes` whether fields that a dry run sets for others, such as admission webhooks, do;
    `last_applied` whether kubectl's annotation says what was applied before, `client_side` whether a client's merge is
    predicted where the manager has no `Apply` entry. `unknown_fields` tells whether fields that
    a published type does not have count, `fills` whether an absent required field is applied with its zero value.
    `known_fields` are those of custom resources that are read as a type of Kubernetes. `reads` is what the engine makes
    of an object of a few kinds before it compares, `applies` what it makes of a manifest alone.
    """

    metadata: tuple[str, ...] = ("labels", "annotations")
    skips: tuple[tuple[str, str], ...] = ()
    keeps: tuple[tuple[str, str], ...] = ()
    added_metadata: bool = True
    foreign_writes: bool = True
    last_applied: bool = False
    client_side: bool = False
    unknown_fields: bool = True
    fills: bool = False
    known_fields: tuple[tuple[str, KnownFields], ...] = ()
    reads: Callable[[Mapping[str, Any]], Mapping[str, Any]] = stored.unchanged
    applies: Callable[[Mapping[str, Any]], Mapping[str, Any]] = stored.unchanged

    def exempts(self, live: Mapping[str, Any], desired: Mapping[str, Any]) -> str | None:
        """Return the label or annotation by which the object opts out, as `key=value`."""
        for key, value in self.skips:
            if _marked(desired, key, value) or _marked(live, key, value):
                return f"{key}={value}"
        for key, value in self.keeps:
            if _marked(desired, key, value):
                return f"{key}={value}"
        return None


def _marked(document: Mapping[str, Any], key: str, value: str) -> bool:
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        return False
    for part in (metadata.get("labels"), metadata.get("annotations")):
        said = part.get(key) if isinstance(part, dict) else None
        if isinstance(said, str) and said.lower() == value:
            return True
    return False


_KUSTOMIZE: Final = Policy(
    skips=tuple(_KUSTOMIZE_SKIPS.items()),
    keeps=tuple(_KUSTOMIZE_KEEPS.items()),
    unknown_fields=False,
    fills=True,
    reads=stored.metrics_once,
    applies=stored.without_bad_bundle,
)
_HELM: Final = Policy(
    skips=tuple(_HELM_SKIPS.items()),
    added_metadata=False,
    unknown_fields=False,
    fills=True,
    applies=stored.metrics_once,
)
_ARGO: Final = Policy(
    metadata=("labels", "annotations", "finalizers", "ownerReferences"),
    foreign_writes=False,
    last_applied=True,
    client_side=True,
    reads=stored.endpoints_in_order,
    known_fields=known_types.BUILT_INTO_ARGO_CD,
)
_ANY: Final = Policy(
    skips=tuple((_KUSTOMIZE_SKIPS | _HELM_SKIPS).items()),
    keeps=tuple(_KUSTOMIZE_KEEPS.items()),
    last_applied=True,
)


def policy_of(managers: tuple[str, ...]) -> Policy:
    """Return the habits of the engine that the managers belong to, mixed where none or several are named."""
    named = {_family(manager) for manager in managers}
    if len(named) != 1:
        return _ANY
    return {"kustomize": _KUSTOMIZE, "helm": _HELM, "argo": _ARGO}.get(named.pop(), _ANY)


def _family(manager: str) -> str:
    return next((family for family in ("kustomize", "helm", "argo") if manager.startswith(family)), "other")

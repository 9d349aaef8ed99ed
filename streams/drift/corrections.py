"""Whether a reconcile by the owner would undo a drift, and if not, why."""

from collections.abc import Sequence

from abdrift.facts.drift import Corrects
from streams.drift import documents, references
from streams.drift.cells import ObjectCell, OwnerCell

_HELM_LEAVES = ("only a forced upgrade corrects", "it is reported, and even a forced upgrade leaves it")
"""Helm-controller 1.4, which sees drift under `warn`, takes that for its answer to whatever was asked."""


def of_object(
    owner: OwnerCell, cell: ObjectCell, staying: Sequence[str] = (), fields: int = 0, *, settled: bool = True
) -> tuple[Corrects, str | None]:
    """Return whether a reconcile would bring an object back. `staying` are paths that Flux leaves, of `fields`.

    Where no baseline is settled, what looks like another's addition may be a field that was taken from Flux.
    """
    if reason := _refusal(owner, cell):
        return Corrects.NO, reason
    if staying and not settled:
        return Corrects.UNKNOWN, f"whether Git has them is not known yet: {', '.join(staying[:3])}"
    if staying and len(staying) == fields:
        return Corrects.NO, "Flux leaves fields that another manager added"
    if owner.view.ready is False and owner.view.reason != "HealthCheckFailed":
        return Corrects.UNKNOWN, f"the owner is failing: {owner.view.reason}"
    if staying:
        return Corrects.YES, f"but Flux leaves what another manager added: {', '.join(staying[:3])}"
    return Corrects.YES, None


def _refusal(owner: OwnerCell, cell: ObjectCell) -> str:
    if owner.view.suspended:
        return "the owner is suspended"
    if documents.DISABLED_BY_HAND in cell.traits:
        return f"the live object says {documents.KUSTOMIZE_RECONCILE}: disabled"
    if owner.ref.group == references.HELM_GROUP and owner.view.detection != "enabled":
        return f"spec.driftDetection.mode is {owner.view.detection}: {_HELM_LEAVES[owner.view.detection == 'warn']}"
    return ""

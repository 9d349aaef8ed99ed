"""HorizontalPodAutoscalers: whose replicas are theirs to set, and within which bounds."""

from collections.abc import Mapping
from typing import Any

from streams.drift import documents, references
from streams.drift.cells import ObjectCell, Ref, ScalerCell
from streams.drift.work import Work

KIND = "HorizontalPodAutoscaler"


def absorb(work: Work, cluster: str, ref: Ref, document: Mapping[str, Any]) -> None:
    """Note what an autoscaler targets."""
    before = work.object(cluster, ref.id)
    old = _target(ref, documents.load(before.live)) if before and before.live else ""
    new = _target(ref, document)
    if old and old != new:
        _drop(work, cluster, old, ref)
    spec = documents.part(document, "spec")
    if new:
        minimum = int(spec["minReplicas"]) if "minReplicas" in spec else 1
        work.put(
            f"scaler/{cluster}/{new}", ScalerCell(name=ref.name, minimum=minimum, maximum=int(spec["maxReplicas"]))
        )
        work.objects[cluster, new] = None


def vanish(work: Work, cluster: str, cell: ObjectCell) -> None:
    """Note that an autoscaler is gone."""
    if old := _target(cell.ref, documents.load(cell.live)):
        _drop(work, cluster, old, cell.ref)


def _drop(work: Work, cluster: str, target: str, ref: Ref) -> None:
    key = f"scaler/{cluster}/{target}"
    cell = work.get(key, ScalerCell)
    if cell is not None and cell.name == ref.name:
        work.put(key, None)
        work.objects[cluster, target] = None


def _target(ref: Ref, document: Mapping[str, Any]) -> str:
    target = documents.part(document, "spec", "scaleTargetRef")
    if not (target.get("kind") and target.get("name")):
        return ""
    group = str(target.get("apiVersion") or "").rpartition("/")[0]
    return references.object_id(group, str(target["kind"]), ref.namespace, str(target["name"]))

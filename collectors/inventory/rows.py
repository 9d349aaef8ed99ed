"""Declarations as rows of `objects`, one for each cluster, to its partition."""

from collections.abc import Iterable, Mapping

from abdrift.signals.objects import InventoryDetail, ObjectRow, Op, encode_detail

SOURCE = "inventory"
"""The name of the lanes."""


def declared(clusters: Mapping[str, Mapping[str, str]], withdrawn: Iterable[str], observed_ms: int) -> list[ObjectRow]:
    """Return the rows that declare clusters with these labels, and withdraw others."""
    return [
        *(_row(name, InventoryDetail(labels=dict(labels)), observed_ms) for name, labels in sorted(clusters.items())),
        *(_row(name, InventoryDetail(withdrawn=True), observed_ms) for name in sorted(withdrawn)),
    ]


def _row(name: str, detail: InventoryDetail, observed_ms: int) -> ObjectRow:
    return ObjectRow(cluster=name, op=Op.INVENTORY.value, observed_ms=observed_ms, detail=encode_detail(detail))

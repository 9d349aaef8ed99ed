"""What a synchronisation says: rows of `objects`, one for each cluster that is declared or is not any more."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from abdrift.signals.objects import InventoryDetail, ObjectRow, Op, encode_detail
from collectors.inventory.records import Inventory

SOURCE = "inventory"
"""The name of the lanes."""
_SWEEPING_SHARE = 0.1
_NOT_NAMED = "the inventory that was synchronised does not name it any more"


@dataclass(frozen=True, slots=True)
class Plan:
    """The inventory as it is now, and the clusters that were declared before and are not any more."""

    inventory: Inventory
    withdrawn: tuple[str, ...]

    @property
    def is_sweeping(self) -> bool:
        """Whether more than one cluster, and more than a tenth, goes at once: rather a mistake than meant."""
        before = len(self.withdrawn) + len(self.inventory.clusters)
        return len(self.withdrawn) > max(1, _SWEEPING_SHARE * before)

    def rows(self, observed_ms: int) -> list[ObjectRow]:
        """Return what is to be said."""
        details = {name: InventoryDetail(labels=labels) for name, labels in self.inventory.clusters.items()}
        return _rows(details, observed_ms) + withdrawals(self.withdrawn, _NOT_NAMED, observed_ms)

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "clusters": self.inventory.clusters,
            "withdrawn": self.withdrawn,
            "contradictions": [str(each) for each in self.inventory.contradictions],
            "refused": self.inventory.refused,
        }


def planned(inventory: Inventory, declared: Collection[str]) -> Plan:
    """Return what is to be said of an inventory, where those clusters were declared before."""
    return Plan(inventory, tuple(sorted(set(declared) - inventory.clusters.keys())))


def withdrawals(names: Iterable[str], reason: str, observed_ms: int) -> list[ObjectRow]:
    """Return what is to be said of clusters that are gone for good, whatever named them before."""
    return _rows(dict.fromkeys(names, InventoryDetail(withdrawn=True, reason=reason)), observed_ms)


def _rows(details: Mapping[str, InventoryDetail], observed_ms: int) -> list[ObjectRow]:
    return [
        ObjectRow(cluster=name, op=Op.INVENTORY.value, observed_ms=observed_ms, detail=encode_detail(detail))
        for name, detail in details.items()
    ]

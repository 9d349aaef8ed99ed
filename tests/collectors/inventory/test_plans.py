from __future__ import annotations

import pytest

from abdrift.signals.objects import InventoryDetail, decode_detail
from collectors.inventory import Inventory, planned, withdrawals


def test_what_is_declared_and_what_is_not_any_more_is_said() -> None:
    plan = planned(Inventory({"a": {"site": "ber-1"}, "b": {}}), {"b", "c"})
    told = {row.cluster: decode_detail(row, InventoryDetail) for row in plan.rows(7)}
    assert told == {
        "a": InventoryDetail(labels={"site": "ber-1"}),
        "b": InventoryDetail(),
        "c": InventoryDetail(withdrawn=True, reason="the inventory that was synchronised does not name it any more"),
    }
    assert {(row.op, row.observed_ms) for row in plan.rows(7)} == {("inventory", 7)}


def test_clusters_that_are_gone_are_withdrawn_with_the_reason() -> None:
    told = {row.cluster: decode_detail(row, InventoryDetail) for row in withdrawals(("a", "b"), "sold", 7)}
    assert told == dict.fromkeys("ab", InventoryDetail(withdrawn=True, reason="sold"))


@pytest.mark.parametrize(
    ("left", "gone", "sweeping"),
    [(10, 0, False), (1, 1, False), (0, 1, False), (0, 2, True), (18, 2, False), (17, 3, True)],
)
def test_many_that_go_at_once_are_rather_a_mistake(left: int, gone: int, sweeping: bool) -> None:
    named = {f"left-{number}": {"site": "x"} for number in range(left)}
    before = {*named, *(f"gone-{number}" for number in range(gone))}
    assert planned(Inventory(named), before).is_sweeping is sweeping

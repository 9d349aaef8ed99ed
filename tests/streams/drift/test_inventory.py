"""What is declared of clusters, joined to what their agents say."""

from __future__ import annotations

import pytest

from abdrift.signals.objects import InventoryDetail
from abdrift.topics import FLEET_INVENTORY
from tests.streams.drift.scenario import Scenario


def declared(scenario: Scenario, **labels: str) -> Scenario:
    return scenario.feed(scenario.said("inventory", InventoryDetail(labels=labels)))


def withdrawn(scenario: Scenario) -> Scenario:
    return scenario.feed(scenario.said("inventory", InventoryDetail(withdrawn=True)))


def test_a_declared_cluster_that_nobody_sees_is_told_without_evidence() -> None:
    (told,) = declared(Scenario(), site="ber-1").inventories()
    assert (told.labels, told.declared, told.last_seen) == ({"site": "ber-1"}, True, None)
    assert not told.evidence.complete


@pytest.mark.parametrize("first", ["agent", "inventory"])
def test_the_inventorys_labels_stand_before_the_agents_and_contradictions_are_told(first: str) -> None:
    scenario = Scenario()
    if first == "inventory":
        declared(scenario, site="ber-1", wave="2")
    scenario.heartbeat(site="muc-1", customer="core")
    if first == "agent":
        declared(scenario, site="ber-1", wave="2")
    told = scenario.inventories()[-1]
    assert told.labels == {"site": "ber-1", "wave": "2", "customer": "core"}
    assert [(c.label, c.inventory, c.agent) for c in told.contradictions] == [("site", "ber-1", "muc-1")]
    assert told.last_seen is not None


def test_what_is_declared_outlives_heartbeats_until_it_is_declared_anew() -> None:
    scenario = declared(Scenario(), site="ber-1").heartbeat().heartbeat()
    assert scenario.inventories()[-1].labels == {"site": "ber-1"}
    assert declared(scenario, wave="1").inventories()[-1].labels == {"wave": "1"}


def test_a_withdrawn_cluster_is_forgotten_if_nobody_saw_it_and_its_agents_if_one_did() -> None:
    unseen = withdrawn(declared(Scenario(), site="ber-1"))
    assert (unseen.facts[-1].topic, unseen.facts[-1].event) == (FLEET_INVENTORY, None)
    again = declared(unseen, site="ber-1").inventories()[-1]
    assert again.labels == {"site": "ber-1"}
    seen = withdrawn(declared(Scenario().heartbeat(site="muc-1"), site="ber-1")).inventories()[-1]
    assert (seen.labels, seen.declared, seen.contradictions) == ({"site": "muc-1"}, False, ())


def test_saying_the_same_again_is_no_news() -> None:
    scenario = declared(declared(Scenario(), site="ber-1"), site="ber-1")
    assert len(scenario.inventories()) == 1


def test_a_cluster_out_of_reach_leaves_no_evidence_whole_until_its_next_heartbeat() -> None:
    scenario = Scenario().proven().lost(("abdrift.dev", "v1", "Cluster"))
    assert not scenario.inventories()[-1].evidence.complete
    assert scenario.heartbeat().inventories()[-1].evidence.complete

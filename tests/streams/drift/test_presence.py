"""Objects that are gone, made anew, or in no inventory."""

from typing import Any

import pytest

from abdrift.facts.governance import DriftAllowance, IgnoreRule, Policy
from streams.drift.deleted import PRUNED_GRACE_MS
from streams.drift.order import READ_PATIENCE_MS
from tests.streams.drift.scenario import (
    CONFIG_ENTRY,
    CONFIG_MAP,
    KUSTOMIZATION,
    T0_MS,
    WEB_ENTRY,
    Scenario,
    applying,
    config,
    entry,
    kustomization,
    repository,
    web,
)


def anew(**more: Any) -> dict[str, Any]:
    """The ConfigMap as alice makes it: her UID, her data, no labels."""
    by = entry("kubectl-create", "Update", T0_MS + 60_000, "data.color")
    metadata = {"name": "app-config", "namespace": "demo", "uid": "uid-of-alice", "managedFields": [by]}
    return {**config(), "metadata": metadata, "data": {"color": "red"}, **more}


def by_flux() -> dict[str, Any]:
    made = config(applied_ms=T0_MS + 60_000)
    made["metadata"]["uid"] = "uid-anew"
    return made


def test_a_deleted_object_is_found_and_its_recreation_by_flux_closes_that() -> None:
    scenario = Scenario().proven().after(5_000).delete(config()).tick(READ_PATIENCE_MS)
    (found,) = scenario.open()
    assert (found.kind, found.object.name, found.reconcile_corrects) == ("deleted", "app-config", "yes")
    assert scenario.verdict().verdict == "drifted"
    scenario.reconciled(by_flux(), total=3)
    assert scenario.closed() == ["deleted corrected"]
    assert scenario.verdict().verdict == "in-sync"


def test_a_change_gives_way_to_a_deletion() -> None:
    changed = config(color="red")
    changed["metadata"]["managedFields"] = [entry("kubectl-edit", "Update", T0_MS + 5_000, "data.color")]
    scenario = Scenario().proven().after(5_000).see(changed).delete(changed).tick(READ_PATIENCE_MS)
    assert (scenario.closed(), scenario.kinds()) == (["changed superseded"], ["deleted app-config"])


def test_an_object_made_anew_by_someone_else_is_still_deleted() -> None:
    scenario = Scenario().proven().after(5_000).delete(config()).see(anew(), op="added").tick(1_000)
    (found,) = scenario.open()
    assert found.kind == "deleted"
    assert "made anew" in found.message
    taken = config(applied_ms=T0_MS + 70_000)
    taken["metadata"]["uid"] = "uid-of-alice"
    scenario.reconciled(taken, total=3)
    assert scenario.closed() == ["deleted corrected"]


def test_fluxs_own_recreation_and_pruning_are_no_drift() -> None:
    scenario = Scenario().proven().after(5_000).see(applying(total=2)).delete(config()).after(50)
    scenario.see(by_flux(), op="added").see(kustomization(total=3)).tick(1_000)
    scenario.see(applying(total=3)).delete(by_flux()).after(200)
    scenario.see(kustomization(total=4, entries=(WEB_ENTRY,))).tick(1_000)
    assert scenario.findings() == []
    assert (scenario.verdict().verdict, scenario.verdict().objects) == ("in-sync", 1)


def test_a_deletion_just_before_word_of_the_reconcile_that_made_it_is_no_drift() -> None:
    scenario = Scenario().proven().after(5_000)
    begun, gone = scenario.row("modified", applying(total=2)), scenario.row("deleted", config())
    ended = scenario.row("modified", kustomization(total=2))
    told = scenario.row("modified", kustomization(total=3, entries=(WEB_ENTRY,)))
    scenario.feed(gone).after(1_500).tick().feed(begun).after(500).feed(ended).after(1_500).tick().feed(told).tick(
        9_000
    )
    assert scenario.findings() == []


def test_what_someone_deleted_within_a_reconcile_and_flux_did_not_restore_is_told_a_little_later() -> None:
    scenario = Scenario().proven().after(5_000).see(applying(total=2)).delete(config()).after(50)
    scenario.see(kustomization(total=3)).tick(1_000)
    assert scenario.kinds() == []
    assert scenario.tick(PRUNED_GRACE_MS).kinds() == ["deleted app-config"]


def test_an_object_that_someone_recreates_during_a_reconcile_waits_for_its_end() -> None:
    scenario = Scenario().proven().after(5_000).see(applying(total=2)).delete(config()).see(anew(), op="added")
    assert scenario.findings() == []
    scenario.see(kustomization(total=3)).tick(1_000)
    assert scenario.kinds() == ["deleted app-config"]


def test_a_deletion_may_be_allowed_for_a_while() -> None:
    policy = Policy(allowance=DriftAllowance(deleted_after_seconds=30))
    scenario = Scenario().proven().policy(policy).delete(config()).tick(10_000)
    assert scenario.findings() == []
    scenario.tick(20_000)
    assert scenario.kinds() == ["deleted app-config"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (IgnoreRule(name="r", names=("app-config",)), []),
        (IgnoreRule(name="r", names=("app-config",), paths=("/data",)), ["deleted app-config"]),
    ],
    ids=["the object", "a part of it"],
)
def test_a_rule_for_an_object_as_a_whole_covers_its_deletion(rule: IgnoreRule, expected: list[str]) -> None:
    scenario = Scenario().proven().policy(Policy(ignore=(rule,))).delete(config()).tick(1_000)
    assert scenario.kinds() == expected


@pytest.mark.parametrize(
    ("selector", "told", "expected"),
    [("", False, ["deleted app-config"]), ("a=b", False, []), ("a=b", True, ["deleted app-config"])],
    ids=["all are watched", "some are watched", "it was looked up"],
)
def test_an_object_that_was_gone_before_anyone_looked(selector: str, told: bool, expected: list[str]) -> None:
    scenario = Scenario().see(repository(), kustomization(), web(), op="listed").heartbeat()
    scenario.synced(began_ms=scenario.now_ms, selector=selector)
    if told:
        scenario.delete(config())
    scenario.tick(5_000)
    assert scenario.kinds() == expected


def test_nothing_is_deleted_where_its_kind_is_not_synced() -> None:
    scenario = (
        Scenario().see(repository(), kustomization(), web(), op="listed").synced(KUSTOMIZATION).heartbeat().tick(60_000)
    )
    assert scenario.findings() == []
    assert "objects-unknown" in scenario.verdict().reasons
    assert "not-synced:ConfigMap" in scenario.verdict().reasons


@pytest.mark.parametrize("op", ["deleted", "modified"])
def test_a_forbidden_kind_is_unknown(op: str) -> None:
    scenario = (
        Scenario().proven().lost(CONFIG_MAP).see(config(color="red", applied_ms=T0_MS + 9_000), op=op).tick(1_000)
    )
    assert scenario.findings() == []
    assert (scenario.verdict().verdict, scenario.verdict().evidence.complete) == ("unknown", False)
    assert "lost:forbidden:ConfigMap" in scenario.verdict().reasons
    scenario.synced(CONFIG_MAP, gap_ms=scenario.now_ms - 1_000).tick(1_000)
    assert len(scenario.open()) == 1


def test_objects_of_another_cluster_are_unknown() -> None:
    remote = kustomization(spec={"kubeConfig": {"secretRef": {"name": "other"}}})
    scenario = Scenario().started(repository(), remote, web(), config()).delete(config()).tick(5_000)
    assert scenario.findings() == []
    assert "remote-cluster" in scenario.verdict().reasons


def many(count: int) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    names = [f"c{i:02}" for i in range(count)]
    return [config(name=name) for name in names], tuple(f"demo_{name}__ConfigMap" for name in names)


@pytest.mark.parametrize("way", ["one by one", "at once", "by a list"])
def test_a_tenth_gone_at_once_is_unknown_until_most_are_back(way: str) -> None:
    objects, entries = many(30)
    scenario = Scenario().started(repository(), kustomization(entries=entries), *objects).reconciled(entries=entries)
    scenario.after(5_000)
    if way == "one by one":
        for each in objects[:4]:
            scenario.delete(each).after(1)
    elif way == "at once":
        scenario.delete(*objects[:4])
    else:
        second = Scenario()
        second.cells, second.facts, second.offset, second.version = scenario.cells, scenario.facts, 500, 5_000
        second.now_ms, scenario = scenario.now_ms, second
        scenario.agent = "agent-2"
        scenario.see(repository(), kustomization(entries=entries, total=2), *objects[4:], op="listed")
        scenario.synced(began_ms=scenario.now_ms)
    scenario.tick(READ_PATIENCE_MS)
    assert scenario.open() == []
    assert (scenario.verdict().verdict, "mass-deletion" in scenario.verdict().reasons) == ("unknown", True)
    scenario.see(objects[0], op="added").tick(1_000)
    assert scenario.kinds() == ["deleted c01", "deleted c02", "deleted c03"]
    assert scenario.verdict().verdict == "drifted"


def test_what_an_inventory_no_longer_names_ends_a_hold() -> None:
    objects, entries = many(20)
    scenario = Scenario().started(repository(), kustomization(entries=entries), *objects).reconciled(entries=entries)
    scenario.after(5_000).delete(*objects[:10]).tick(1_000)
    assert "mass-deletion" in scenario.verdict().reasons
    scenario.reconciled(entries=entries[10:], total=3)
    assert scenario.open() == []
    assert scenario.verdict().verdict == "in-sync"


def test_deletions_far_apart_are_no_mass() -> None:
    objects, entries = many(20)
    scenario = Scenario().started(repository(), kustomization(entries=entries), *objects).reconciled(entries=entries)
    for each in objects[:4]:
        scenario.after(5_000).heartbeat().delete(each).tick(60_000)
    assert len(scenario.open()) == 4


def orphan(**metadata: Any) -> dict[str, Any]:
    made = config(name="left")
    made["metadata"].update(metadata)
    return made


def test_an_object_that_its_owners_inventory_no_longer_names_is_an_orphan() -> None:
    scenario = Scenario().proven().reconciled(entries=(WEB_ENTRY,), total=3).tick(1_000)
    (found,) = scenario.open()
    assert (found.kind, found.object.name, found.reconcile_corrects) == ("orphaned", "app-config", "no")
    assert scenario.verdict().verdict == "drifted"
    scenario.delete(config())
    assert scenario.closed() == ["orphaned gone"]


def test_a_pruned_object_whose_deletion_comes_after_the_inventory_is_no_orphan() -> None:
    scenario = Scenario().proven().after(60_000)
    begun, gone = scenario.row("modified", applying(total=2)), scenario.row("deleted", config())
    told = scenario.row("modified", kustomization(total=3, entries=(WEB_ENTRY,)))
    scenario.feed(begun).feed(told).after(1_500).tick().feed(gone).tick(10_000)
    assert scenario.findings() == []


def test_an_orphan_may_lose_its_labels_or_be_taken_in_again() -> None:
    scenario = Scenario().proven().reconciled(entries=(WEB_ENTRY,), total=3).tick(1_000)
    scenario.see({**config(), "metadata": {**config()["metadata"], "labels": {}}})
    assert scenario.closed() == ["orphaned corrected"]
    scenario.see(config()).tick(1_000)
    assert scenario.kinds() == ["orphaned app-config"]
    scenario.reconciled(entries=(WEB_ENTRY, CONFIG_ENTRY), total=4)
    assert scenario.open() == []


ORPHANS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "labelled": (orphan(), ["orphaned left"]),
    "of an owner that does not exist": (
        orphan(labels={"kustomize.toolkit.fluxcd.io/name": "gone", "kustomize.toolkit.fluxcd.io/namespace": "x"}),
        ["orphaned left"],
    ),
    "prune: disabled": (orphan(annotations={"kustomize.toolkit.fluxcd.io/prune": "disabled"}), []),
    "ssa: IfNotPresent": (orphan(annotations={"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}), []),
    "ssa: Ignore": (orphan(annotations={"kustomize.toolkit.fluxcd.io/ssa": "Ignore"}), []),
    "owned by another object": (orphan(ownerReferences=[{"kind": "Service"}]), []),
    "an EndpointSlice": ({**orphan(), "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"}, []),
    "a HelmChart of a release": (
        {
            **orphan(labels={"helm.toolkit.fluxcd.io/name": "demo", "helm.toolkit.fluxcd.io/namespace": "x"}),
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "HelmChart",
        },
        [],
    ),
    "unlabelled": (orphan(labels={}), []),
    "of a release whose manifest is not known": (
        orphan(labels={"helm.toolkit.fluxcd.io/name": "demo", "helm.toolkit.fluxcd.io/namespace": "flux-system"}),
        ["orphaned left"],
    ),
    "a CRD of a chart": (
        {
            **orphan(labels={"helm.toolkit.fluxcd.io/name": "demo", "helm.toolkit.fluxcd.io/namespace": "x"}),
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
        },
        [],
    ),
}


@pytest.mark.parametrize(("left", "expected"), ORPHANS.values(), ids=ORPHANS)
def test_what_is_an_orphan(left: dict[str, Any], expected: list[str]) -> None:
    scenario = Scenario().proven().see(left, op="added").tick(1_000)
    assert scenario.kinds() == expected


def test_an_object_that_came_before_its_inventory_is_no_orphan() -> None:
    scenario = Scenario().proven().after(5_000).see(applying(total=2)).see(orphan(), op="added").tick(5_000)
    scenario.see(kustomization(total=3, entries=(WEB_ENTRY, CONFIG_ENTRY, "demo_left__ConfigMap"))).tick(1_000)
    assert scenario.findings() == []


def test_without_an_inventory_there_are_no_orphans() -> None:
    scenario = Scenario().started(repository(), kustomization(entries=None), config()).tick(60_000)
    assert scenario.findings() == []
    assert "inventory-unknown" in scenario.verdict().reasons


def test_nothing_is_an_orphan_while_owners_cannot_be_seen() -> None:
    scenario = Scenario().proven().lost(KUSTOMIZATION).see(orphan(), op="added").tick(1_000)
    assert scenario.findings() == []


@pytest.mark.parametrize(("policy", "expected"), [("Orphan", []), ("Delete", ["orphaned app-config", "orphaned web"])])
def test_a_deleted_owner_leaves_orphans_unless_it_was_told_to(policy: str, expected: list[str]) -> None:
    told = kustomization(spec={"deletionPolicy": policy})
    scenario = Scenario().proven(repository(), told, web(), config()).see(told).delete(told).tick(2_000)
    assert scenario.kinds() == expected
    assert any(fact.event is None for fact in scenario.facts)
    scenario.delete(web(), config()).tick(1_000)
    assert scenario.open() == []


def test_an_owner_that_is_being_deleted_prunes() -> None:
    leaving = kustomization()
    leaving["metadata"]["deletionTimestamp"] = "2026-11-23T00:00:00Z"
    scenario = Scenario().proven().see(leaving).delete(web(), config()).tick(60_000)
    assert scenario.findings() == []
    assert "deleting" in scenario.verdict().reasons
    scenario.delete(leaving).tick(1_000)
    assert scenario.findings() == []
    assert scenario.facts[-1].event is None

"""What the fleet's facts look like as series, and that no number of clusters, findings or labels is without a bound."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from abdrift.fleetstate import Cluster, UnreadableError
from abdrift.latest import Change
from abdrift.topics import FACT_TYPES, FLEET_DRIFT, FLEET_HEALTH, FLEET_INCIDENTS, FLEET_INVENTORY, FactType
from sinks.prometheus import families
from sinks.prometheus.following import Freshness
from sinks.prometheus.places import Places
from sinks.prometheus.series import Limits, metrics
from sinks.prometheus.serving import FleetCollector
from sinks.prometheus.view import View
from tests.contract.examples import event, full, minimal
from tests.sinks.prometheus.fleet import NOW_MS, Fleet

if TYPE_CHECKING:
    from collections.abc import Iterable

FLEET = Fleet()
BOUNDS = Limits()
BERLIN = {"site": "berlin", "region": "eu", "environment": "prd"}
PORTO = {"site": "porto", "region": "eu", "environment": "tst"}


def view_of(changes: Iterable[Change], counted_from_ms: int = 0) -> View:
    view = View(counted_from_ms)
    for change in changes:
        view.absorb(change)
    return view


def told(view: View, limits: Limits = BOUNDS) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Return the value of each series by its name and labels."""
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for metric in metrics(view, limits, NOW_MS):
        for sample in metric.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


STORY = told(view_of(FLEET.story()))


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        pytest.param("abdrift_fleet_clusters", {"status": "failing", **BERLIN}, 1, id="by status and place"),
        pytest.param("abdrift_fleet_clusters", {"status": "degraded", **BERLIN}, 0, id="none is 0"),
        pytest.param("abdrift_fleet_clusters_silent", PORTO, 1, id="silent"),
        pytest.param("abdrift_fleet_clusters_incomplete", PORTO, 1, id="incomplete"),
        pytest.param("abdrift_fleet_clusters_drifted", BERLIN, 1, id="drifted"),
        pytest.param("abdrift_fleet_clusters_drifted", PORTO, 0, id="not drifted"),
        pytest.param("abdrift_fleet_clusters_by_evidence_age", {"older_than_seconds": "300"}, 1, id="old evidence"),
        pytest.param("abdrift_fleet_clusters_by_evidence_age", {"older_than_seconds": "900"}, 0, id="not so old"),
        pytest.param("abdrift_cluster_health", {"cluster": "edge-2", **BERLIN}, 0, id="healthy"),
        pytest.param("abdrift_cluster_health", {"cluster": "edge-3", **PORTO}, 3, id="unknown is not healthy"),
        pytest.param("abdrift_cluster_findings", {"cluster": "edge-1", **BERLIN}, 2, id="findings of a cluster"),
        pytest.param(
            "abdrift_site_location", {"site": "porto", "latitude": "41.1", "longitude": "-8.6"}, 1, id="on the map"
        ),
        pytest.param("abdrift_drift_findings", {"kind": "changed", **BERLIN}, 1, id="drift"),
        pytest.param("abdrift_drift_findings_by_age", {"kind": "failing", "older_than_seconds": "3600"}, 1, id="old"),
        pytest.param("abdrift_drift_findings_by_age", {"kind": "failing", "older_than_seconds": "21600"}, 0, id="new"),
        pytest.param("abdrift_drift_findings_by_age", {"kind": "deleted", "older_than_seconds": "300"}, 0, id="none"),
        pytest.param("abdrift_drift_oldest_timestamp_seconds", {"kind": "failing"}, NOW_MS / 1000 - 7_200, id="oldest"),
        pytest.param("abdrift_drift_owners", {"verdict": "drifted"}, 1, id="verdicts"),
        pytest.param("abdrift_incidents_open", {"cause_kind": "git-revision"}, 1, id="incidents"),
        pytest.param("abdrift_incidents_open", {"cause_kind": "site"}, 0, id="no incident"),
        pytest.param(
            "abdrift_incident_open",
            {
                "incident_id": "i1",
                "severity": "critical",
                "cause_kind": "git-revision",
                "cause": "main@sha1:bad",
                "source": "https://git.example/fleet.git",
                "author": "Ada <ada@example.org>",
                "message": 'say "no" to limits',
                "first_cluster": "edge-1",
            },
            2,
            id="an incident, with its cause",
        ),
        pytest.param("abdrift_incident_objects", {"incident_id": "i1"}, 4, id="its symptoms"),
        pytest.param("abdrift_incident_site_clusters", {"incident_id": "i1", "site": "berlin"}, 2, id="its sites"),
        pytest.param("abdrift_fleet_commands_total", {"verb": "reconcile"}, 2, id="commands"),
        pytest.param("abdrift_fleet_commands_in_flight", {"verb": "reconcile"}, 1, id="in flight"),
        pytest.param("abdrift_fleet_outcomes_total", {"verb": "reconcile", "result": "corrected"}, 1, id="outcomes"),
        pytest.param("abdrift_fleet_outcomes_total", {"verb": "force", "result": "failed"}, 0, id="none of that"),
        pytest.param("abdrift_fleet_corrected_seconds_bucket", {"le": "5"}, 0, id="not within 5 s"),
        pytest.param("abdrift_fleet_corrected_seconds_bucket", {"le": "10"}, 1, id="within 10 s"),
        pytest.param("abdrift_fleet_decisions_total", {"result": "refused", "reason": "held"}, 1, id="decisions"),
        pytest.param("abdrift_governor_breaker_open", {}, 1, id="breaker"),
        pytest.param("abdrift_governor_breaker_reason", {"reason": "surge"}, 1, id="and why"),
        pytest.param(
            "abdrift_fleet_dead_letters_total",
            {"refused_by": "streams.drift", "reason": "bad-row"},
            1,
            id="dead letters",
        ),
    ],
)
def test_a_fleet_is_told(name: str, labels: dict[str, str], value: float) -> None:
    assert STORY[name][frozenset(labels.items())] == value


def test_every_family_is_told_when_something_of_everything_happened() -> None:
    names = {metric.name for metric in metrics(view_of(FLEET.story()), Limits(), NOW_MS) if metric.samples}
    assert names == {family.name for family in families.FAMILIES}


def test_what_was_withdrawn_or_ended_is_not_told_any_more() -> None:
    ends = [
        FLEET.gone(FLEET_HEALTH, "cluster/edge-1"),
        FLEET.gone(FLEET_INVENTORY, "edge-1"),
        FLEET.gone(FLEET_DRIFT, "f1"),
        FLEET.finding("f2", "edge-1", "failing", state="closed"),
        FLEET.gone(FLEET_DRIFT, "v/edge-1"),
        FLEET.gone(FLEET_INCIDENTS, "i1"),
        FLEET.outcome("c2", "edge-1", "expired"),
        FLEET.breaker(),
    ]
    series = told(view_of([*FLEET.story(), *ends]))
    assert not [labels for values in series.values() for labels in values if ("cluster", "edge-1") in labels]
    assert not sum(series["abdrift_drift_owners"].values())
    assert not sum(series["abdrift_incidents_open"].values())
    assert not sum(series["abdrift_fleet_commands_in_flight"].values())
    assert series["abdrift_governor_breaker_open"] == {frozenset(): 0}
    assert "abdrift_governor_breaker_reason" not in series


def test_a_cluster_that_no_inventory_names_any_more_is_still_told_of_nowhere() -> None:
    series = told(view_of([*FLEET.story(), FLEET.gone(FLEET_INVENTORY, "edge-1")]))
    nowhere = {"cluster": "edge-1", "site": "", "region": "", "environment": ""}
    assert series["abdrift_cluster_health"][frozenset(nowhere.items())] == 2


def test_a_cluster_that_only_an_inventory_tells_of_is_unknown_and_silent() -> None:
    series = told(view_of([FLEET.inventory("edge-9", site="oslo")]))
    oslo = {"site": "oslo", "region": "", "environment": ""}
    assert series["abdrift_cluster_health"] == {frozenset({"cluster": "edge-9", **oslo}.items()): 3}
    assert series["abdrift_fleet_clusters"][frozenset({"status": "unknown", **oslo}.items())] == 1
    assert series["abdrift_fleet_clusters_silent"] == {frozenset(oslo.items()): 1}


def test_alerts_alone_are_no_drift() -> None:
    series = told(view_of([FLEET.health("edge-1", "healthy"), FLEET.finding("f", "edge-1", "alert")]))
    assert sum(series["abdrift_fleet_clusters_drifted"].values()) == 0
    assert sum(series["abdrift_cluster_findings"].values()) == 1


def test_a_command_that_expired_without_an_outcome_is_let_go() -> None:
    view = view_of([FLEET.command("c1", "edge-1")])
    view.fleet.forget_commands(NOW_MS)
    assert view.fleet.commands
    view.fleet.forget_commands(NOW_MS + 301_000)
    assert not view.fleet.commands


def test_what_happened_before_the_exporter_began_is_known_and_not_counted() -> None:
    series = told(view_of(FLEET.story(), counted_from_ms=NOW_MS + 1))
    assert sum(series["abdrift_fleet_commands_in_flight"].values()) == 1
    for name in ("abdrift_fleet_commands_total", "abdrift_fleet_outcomes_total", "abdrift_fleet_decisions_total"):
        assert not sum(series[name].values()), name


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(b"no JSON", "no-json", id="no JSON"),
        pytest.param(b'["a list"]', "bad-fact", id="no object"),
        pytest.param(b'{"type": "dev.abdrift.fleet.health.v1", "subject": "s"}', "bad-fact", id="no health"),
    ],
)
def test_what_is_no_fact_is_refused(value: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError) as refused:
        View(0).absorb(Change(FLEET_HEALTH.name, "cluster/edge-1", value, NOW_MS))
    assert refused.value.reason == reason


@pytest.mark.parametrize("example", [full, minimal])
@pytest.mark.parametrize("fact", FACT_TYPES.values(), ids=lambda fact: fact.name)
def test_every_fact_that_the_contract_allows_is_read(fact: FactType, example: Any) -> None:
    value = event(fact, example(fact.model)).encode()
    view = view_of([Change("topic", "key", value, NOW_MS)])
    assert metrics(view, BOUNDS, NOW_MS)


def test_a_fact_of_a_newer_version_is_told_under_other_words() -> None:
    series = told(view_of([FLEET.health("edge-1", "healthy")]))
    view = view_of([FLEET.health("edge-1", "healthy"), FLEET.finding("f", "edge-1", "changed")])
    view.fleet.clusters["edge-1"].told_status = "splendid"
    view.fleet.findings["f"] = replace(view.fleet.findings["f"], kind="skewed")
    newer = told(view)
    nowhere = {"site": "", "region": "", "environment": ""}
    assert series["abdrift_cluster_health"] == {frozenset({"cluster": "edge-1", **nowhere}.items()): 0}
    assert newer["abdrift_cluster_health"] == {frozenset({"cluster": "edge-1", **nowhere}.items()): 3}
    assert newer["abdrift_fleet_clusters"][frozenset({"status": "other", **nowhere}.items())] == 1
    assert newer["abdrift_drift_findings"] == {frozenset({"kind": "other", **nowhere}.items()): 1}


# Bounds ---------------------------------------------------------------------------------------------------------


def crowd(clusters: int) -> View:
    """A fleet with a site and two findings for each cluster, and an incident for each tenth."""
    view = view_of([FLEET.finding("f", "a", "changed"), FLEET.incident("i", 2)])
    fleet = view.fleet
    finding, incident = fleet.findings.pop("f"), fleet.incidents.pop("i")
    fleet.clusters.clear()
    for number in range(clusters):
        name = f"edge-{number:05}"
        labels = {"site": f"site-{number}", "region": f"region-{number % 300}", "environment": "prd"}
        fleet.clusters[name] = Cluster(name, labels, is_inventoried=True, told_status="failing", since_ms=NOW_MS)
        for at in range(2):
            about = replace(finding.about, name=str(at))
            fleet.findings[f"{name}/{at}"] = replace(finding, cluster=name, about=about)
        if number % 10 == 0:
            fleet.incidents[name] = {**incident, "incident_id": name}
    return view


def test_ten_thousand_clusters_are_told_within_the_bounds() -> None:
    series = told(crowd(12_000))
    assert len(series["abdrift_cluster_health"]) == 10_000
    assert len(series["abdrift_cluster_findings"]) == 10_000
    assert len(series["abdrift_drift_finding_opened_timestamp_seconds"]) == 1_000
    assert len(series["abdrift_incident_open"]) == len(series["abdrift_incident_opened_timestamp_seconds"]) == 100
    left_out = {dict(labels)["family"]: value for labels, value in series["abdrift_exporter_series_left_out"].items()}
    assert {name: count for name, count in left_out.items() if count} == {
        "abdrift_cluster_health": 2_000,
        "abdrift_cluster_findings": 2_000,
        "abdrift_drift_finding_opened_timestamp_seconds": 23_000,
        "abdrift_incident_open": 1_100,
        "abdrift_incident_opened_timestamp_seconds": 1_100,
        "abdrift_incident_objects": 1_100,
    }
    as_other = {dict(labels)["label"]: n for labels, n in series["abdrift_exporter_label_values_as_other"].items()}
    assert as_other == {"site": 11_000, "region": 100, "environment": 0}
    assert sum(series["abdrift_fleet_clusters"].values()) == 12_000, "all are counted, under whatever site"
    assert sum(len(values) for values in series.values()) < 60_000


def test_nothing_is_told_of_single_clusters_where_that_is_not_wanted() -> None:
    series = told(view_of(FLEET.story()), Limits(clusters=0, findings=0, incidents=0))
    single = ("abdrift_cluster_health", "abdrift_cluster_findings", "abdrift_incident_open")
    assert not series.keys() & {*single, "abdrift_drift_finding_opened_timestamp_seconds"}
    assert sum(series["abdrift_fleet_clusters"].values()) == 3


def test_the_largest_sites_keep_their_names() -> None:
    named = {"a": "big", "b": "big", "c": "small", "d": "tiny"}
    labels = {cluster: {"site": site, "region": "eu", "environment": "prd"} for cluster, site in named.items()}
    places = Places(labels, {"site": 2, "region": 1, "environment": 1})
    assert {name: places[name].site for name in (*named, "unheard")} == {
        "a": "big", "b": "big", "c": "small", "d": "other", "unheard": "",
    }  # fmt: skip
    assert places.as_other == {"site": 1, "region": 0, "environment": 0}


# What is not known is not told ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("readings", "now_ms", "doubt"),
    [
        pytest.param([], 0, "the topics are still being read", id="at the beginning"),
        pytest.param([(0, 0, 7)], 0, "the topics are still being read", id="not all is read"),
        pytest.param([(0, 9, 0)], 60_000, None, id="read not long ago"),
        pytest.param([(0, 9, 0)], 60_001, "all was read last 60 s ago", id="too long ago"),
        pytest.param([(0, 9, 0), (50_000, 9, 3)], 61_000, "all was read last 61 s ago", id="never again all"),
        pytest.param([(0, 9, 0), (50_000, 9, 3), (51_000, 12, 4)], 61_000, None, id="all that there was, more came"),
        pytest.param([(0, 9, 0), (50_000, 9, 0)], 61_000, None, id="and again"),
    ],
)
def test_what_was_not_read_to_its_end_is_in_doubt(
    readings: list[tuple[int, int, int]], now_ms: int, doubt: str | None
) -> None:
    clock = [0]
    freshness = Freshness(60_000, lambda: clock[0])
    for at_ms, taken, behind in readings:
        clock[0] = at_ms
        freshness.read(taken, behind)
    clock[0] = now_ms
    assert freshness.doubt() == doubt


def test_an_exposition_holds_the_fleet_only_while_it_is_known() -> None:
    freshness = Freshness(60_000, lambda: NOW_MS)
    registry = CollectorRegistry()
    registry.register(FleetCollector(view_of(FLEET.story()), freshness, Limits(), lambda: NOW_MS))
    assert generate_latest(registry) == b""
    freshness.read(0, 0)
    families_told: list[Any] = list(text_string_to_metric_families(generate_latest(registry).decode()))
    assert "abdrift_cluster_health" in {family.name for family in families_told}

"""Which symptoms are one incident, and which are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from abdrift.facts.drift import GitCommit
from streams.incidents.causes import MAX_NAME_CHARS
from tests.streams.incidents.world import (
    APPS,
    BAD,
    CHART,
    GOOD,
    RELEASE,
    SOURCE,
    URL,
    World,
    at_site,
    behind,
    failing,
    health,
    inventory,
    names,
    policy,
    silent,
)

if TYPE_CHECKING:
    from abdrift.cloudevents import CloudEvent
    from abdrift.facts.base import ObjectRef


def chart(cluster: str, version: str = "0.2.0", **more: Any) -> CloudEvent:
    told = GitCommit(revision=version)
    return failing(cluster, attempted=told, at=RELEASE, source=CHART, source_url="./charts/gateway", **more)


def unfetched(cluster: str, url: str = URL, name: str = "fleet", at: ObjectRef = SOURCE) -> CloudEvent:
    at = at.model_copy(update={"name": name})
    return failing(cluster, attempted=None, at=at, source=at, source_url=url, reason="GitOperationFailed")


def unready(cluster: str, node: str, pool: str = "workers", revision: int = 1) -> CloudEvent:
    return health(cluster, "failing", "NotReady", node=node, pool=pool, revision=revision)


ONE: dict[str, tuple[list[CloudEvent], tuple[str, str, int]]] = {
    "revision": ([failing("a"), failing("b")], ("git-revision", BAD, 2)),
    "revision-failing-and-behind": ([failing("a"), behind("b")], ("git-revision", BAD, 2)),
    "revision-by-another-branch": (
        [failing("a"), failing("b", attempted=GitCommit(revision="next@sha1:" + "b" * 40))],
        ("git-revision", BAD, 2),
    ),
    "revision-of-several-objects": ([failing("a"), failing("a", at=APPS), failing("b")], ("git-revision", BAD, 2)),
    "path-that-the-revision-lacks": (
        [failing(c, reason="ArtifactFailed", message="kustomization path not found: stat ./x") for c in "ab"],
        ("git-revision", BAD, 2),
    ),
    "bare-version-of-one-source": (
        [failing(c, attempted=GitCommit(revision="v7")) for c in "ab"],
        ("git-revision", "v7", 2),
    ),
    "chart": ([chart("a"), chart("b")], ("chart-version", "gateway 0.2.0", 2)),
    "source": ([unfetched("a"), unfetched("b")], ("dependency", URL, 2)),
    "source-of-owners": (
        [failing(c, reason="SourceNotReady") for c in "ab"],
        ("dependency", URL, 2),
    ),
    "chart-that-is-not-ready": (
        [failing(c, at=RELEASE, source=CHART, source_url="gateway", reason="SourceNotReady") for c in "ab"],
        ("dependency", "HelmChart flux-system/flux-system-gateway", 2),
    ),
    "host-of-many-sources": (
        [unfetched(c, f"https://git.example/{c}.git") for c in "abc"],
        ("dependency", "git.example", 3),
    ),
    "site": ([*at_site("ber1", 5), *map(silent, names("ber1", 3))], ("site", "ber1", 3)),
    "site-without-power": (
        [*at_site("ber1", 3), silent("ber1-000"), unready("ber1-001", "n1"), unready("ber1-002", "n1")],
        ("site", "ber1", 3),
    ),
    "node-pool": ([unready("a", node) for node in ("n1", "n2", "n3")], ("node-pool", "a/workers", 1)),
    "fleet": (
        [*at_site("x", 2), *at_site("y", 2), *map(silent, (*names("x", 2), *names("y", 2)))],
        ("fleet", "all", 3),
    ),
    "fleet-without-sites": ([inventory("a"), inventory("b"), *map(silent, "abc")], ("fleet", "all", 3)),
}


@pytest.mark.parametrize(("events", "told"), ONE.values(), ids=ONE)
def test_symptoms_of_one_cause_are_one_incident(events: list[CloudEvent], told: tuple[str, str, int]) -> None:
    world = World().feed(*events)
    (first, *_) = world.told
    (one,) = world.open()
    assert (one.cause.kind, one.cause.name, first.blast_radius.clusters) == told
    assert one.incident_id == first.incident_id


NONE: dict[str, list[CloudEvent]] = {
    "one-cluster": [failing("a"), failing("a", at=APPS), behind("a")],
    "two-revisions": [failing("a"), failing("b", attempted=GitCommit(revision=GOOD))],
    "one-version-of-two-sources": [
        failing("a", attempted=GitCommit(revision="v7")),
        failing("b", attempted=GitCommit(revision="v7"), source_url="https://git.example/other.git"),
    ],
    "unknown-revision": [failing("a", attempted=None), failing("b", attempted=None)],
    "two-charts": [chart("a"), chart("b", "0.3.0")],
    "two-sources-of-a-host": [unfetched("a", "https://h/a.git"), unfetched("b", "https://h/b.git")],
    "few-of-a-site": [*at_site("ber1", 20), *map(silent, names("ber1", 3))],
    "two-of-a-site": [*at_site("ber1", 9), *map(silent, names("ber1", 2))],
    "never-heard": [
        *at_site("ber1", 4),
        *(health(n, "unknown", "Silent", is_known=False) for n in names("ber1", 4)),
    ],
    "unseen-kinds": [*at_site("ber1", 4), *(health(n, "unknown", "CannotSee") for n in names("ber1", 4))],
    "sick-clusters": [*at_site("ber1", 4), *(health(n, "failing", "MembersFailing") for n in names("ber1", 4))],
    "two-nodes": [unready("a", "n1"), unready("a", "n2")],
    "nodes-of-two-pools": [unready("a", "n1"), unready("a", "n2"), unready("a", "n3", pool="gpu")],
    "nodes-of-no-pool": [unready("a", node, pool="") for node in ("n1", "n2", "n3")],
    "pressed-nodes": [health("a", "degraded", "MemoryPressure", node=n, pool="workers") for n in ("n1", "n2", "n3")],
    "switched-off": [policy(enabled=False), failing("a"), failing("b")],
    "too-few-by-policy": [policy(clusters=3), failing("a"), failing("b")],
}


@pytest.mark.parametrize("events", NONE.values(), ids=NONE)
def test_symptoms_that_share_too_little_are_no_incident(events: list[CloudEvent]) -> None:
    assert not World().feed(*events).wait(5).told


def test_symptoms_further_apart_than_the_window_are_no_incident() -> None:
    world = World().feed(policy(window_seconds=60), failing("a")).feed(failing("b"), every_ms=61_000)
    assert not world.told
    assert len(world.feed(failing("c")).open()) == 1


def test_names_that_clusters_give_are_bounded() -> None:
    endless = GitCommit(revision="v" * 100_000)
    world = World().feed(failing("a", attempted=endless), failing("b", attempted=endless))
    (one,) = world.open()
    assert len(one.cause.name) == MAX_NAME_CHARS
    assert max(map(len, world.cells)) < 2 * MAX_NAME_CHARS


def test_sources_of_a_host_become_one_incident_in_place_of_one_for_each() -> None:
    each = [unfetched(f"{c}{n}", f"https://git.example/{c}.git") for c in "abc" for n in (1, 2)]
    world = World().feed(*each).wait(3)
    (host,) = world.open()
    assert (host.cause.name, host.blast_radius.clusters) == ("git.example", 6)
    past = [one for one in world.newest.values() if one.state == "closed"]
    assert [(one.closed_because, one.superseded_by) for one in past] == [("superseded", host.incident_id)] * 2


def test_pools_of_a_dark_site_are_no_incidents_beside_it() -> None:
    names_of_nodes = ("n1", "n2", "n3")
    world = World().feed(*at_site("ber1", 3))
    world.feed(*(unready(cluster, node) for cluster in names("ber1", 3) for node in names_of_nodes)).wait(3)
    (site,) = world.open()
    assert (site.cause.kind, site.blast_radius.objects) == ("site", 9)
    assert {one.superseded_by for one in world.newest.values() if one.state == "closed"} == {site.incident_id}


def test_sites_of_a_dark_fleet_are_no_incidents_beside_it() -> None:
    sites = ("x", "y", "z")
    world = World().feed(*(one for site in sites for one in at_site(site, 4)))
    world.feed(*(silent(name) for site in sites for name in names(site, 4))).wait(3)
    (fleet,) = world.open()
    assert (fleet.cause.kind, fleet.blast_radius.clusters) == ("fleet", 12)
    nodes = [unready(name, "n1") for name in names("x", 4)]
    assert world.feed(*nodes).wait(3).open()[0].cause.kind == "fleet"

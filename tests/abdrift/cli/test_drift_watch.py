"""`abdrift drift watch`: what is news of a finding, and the line that tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from abdrift.cli.drift_filter import Filter
from abdrift.cli.drift_watch import happened, line
from abdrift.facts.drift import DriftKind
from abdrift.fleetstate import Fleet
from abdrift.topics import FLEET_DRIFT, FLEET_INVENTORY
from tests.abdrift.test_fleetstate import change
from tests.streams.governor.world import World

if TYPE_CHECKING:
    from abdrift.cloudevents import CloudEvent

FIELD = {"path": "/spec/replicas", "op": "replace", "old": 2, "new": 5}


def told(*events: CloudEvent) -> list[str | None]:
    """Return what each event tells, after those before it."""
    fleet, said = Fleet(), []
    for event in events:
        before = fleet.findings.get(event.subject)
        fleet.take(change(FLEET_DRIFT, event))
        said.append(happened(before, fleet.findings.get(event.subject), event.data))
    return said


W = World()
NEWS: dict[str, tuple[list[CloudEvent], list[str | None]]] = {
    "a-life": ([W.finding(), W.finding(revision=2), W.closing(revision=3)], ["opened", "changed", "closed"]),
    "again": ([W.finding(), W.finding(), W.closing(), W.closing()], ["opened", None, "closed", None]),
    "an-older-one-said-again": ([W.finding(revision=2), W.finding(revision=1)], ["opened", None]),
    "only-the-end": ([W.closing()], ["closed"]),
    "opened-again": ([W.closing(), W.finding(revision=3)], ["closed", "opened"]),
    "a-verdict": ([W.verdict()], [None]),
}


@pytest.mark.parametrize(("events", "expected"), NEWS.values(), ids=NEWS)
def test_only_news_is_told(events: list[CloudEvent], expected: list[str | None]) -> None:
    assert told(*events) == expected


LINES: dict[str, tuple[CloudEvent, str, str]] = {
    "opened": (
        W.finding(fields=[FIELD, FIELD], managers=["kari"]),
        "opened",
        "08:00:00 ◆ opened  edge-1  changed  Deployment web/of-f1  spec.replicas: 2 → 5 and 1 more  by kari  f1",
    ),
    "closed": (
        W.closing(closed_because="corrected"),
        "closed",
        "08:00:00 ✓ closed  edge-1  changed  Deployment web/of-f1  corrected  f1",
    ),
    "without-fields": (
        W.finding(kind="failing", fields=[], managers=[], message="does\nnot apply"),
        "changed",
        "08:00:00 ~ changed edge-1  failing  Deployment web/of-f1  does not apply  f1",
    ),
}


@pytest.mark.parametrize(("event", "what", "expected"), LINES.values(), ids=LINES)
def test_a_line_says_when_what_where_and_who(event: CloudEvent, what: str, expected: str) -> None:
    fleet, changed = Fleet(), change(FLEET_DRIFT, event)
    fleet.take(changed)
    assert line(what, fleet.findings["f1"], event.data, changed).plain == expected


FILTERS: dict[str, tuple[dict[str, Any], bool]] = {
    "nothing-asked": ({}, True),
    "cluster": ({"cluster": "edge-1"}, True),
    "other-cluster": ({"cluster": "edge-2"}, False),
    "kind": ({"kinds": [DriftKind.CHANGED, DriftKind.FAILING]}, True),
    "other-kind": ({"kinds": [DriftKind.FAILING]}, False),
    "site": ({"site": "oslo"}, True),
    "other-site": ({"site": "bergen"}, False),
    "label-that-it-has-not": ({"region": "north"}, False),
    "environment": ({"environment": "prd"}, True),
    "owner-in-full": ({"owner": "Kustomization flux-system/apps"}, True),
    "owner-with-namespace": ({"owner": "flux-system/apps"}, True),
    "owner-by-name": ({"owner": "apps"}, True),
    "other-owner": ({"owner": "flux-system"}, False),
    "all-must-match": ({"owner": "apps", "site": "bergen"}, False),
}


@pytest.mark.parametrize(("given", "matches"), FILTERS.values(), ids=FILTERS)
def test_findings_are_chosen_by_what_they_and_their_clusters_are(given: dict[str, Any], matches: bool) -> None:
    fleet = Fleet()
    fleet.take(change(FLEET_INVENTORY, W.inventory(labels={"site": "oslo", "environment": "prd"})))
    fleet.take(change(FLEET_DRIFT, W.finding()))
    assert Filter(**given).matches(fleet.findings["f1"], fleet) is matches

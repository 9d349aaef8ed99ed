"""`abdrift incident show`: one cause in place of its many symptoms."""

from __future__ import annotations

from typing import Any

import pytest

from abdrift.cli.incident import Shown
from abdrift.facts.incidents import Incident
from tests.abdrift.cli.test_looks import printed
from tests.contract.examples import full, minimal
from tests.streams.governor.world import OWNER, START_MS, stamp

NOW_MS = START_MS + 60_000
BAD = "main@sha1:" + "b" * 40


def member(number: int, **given: Any) -> dict[str, Any]:
    return {
        "cluster": {"name": f"edge-{number}"},
        "labels": {"site": "oslo"},
        "object": OWNER,
        "symptom": "failing",
        "finding_ids": [f"f{number}"],
        "message": "Kustomization flux-system/apps does not apply",
        "since": stamp(START_MS),
        **given,
    }


def shown(every: bool = False, **given: Any) -> str:
    """Return what is printed of an incident of three members."""
    data = {
        "incident_id": "0123456789abcdef",
        "revision": 2,
        "state": "open",
        "severity": "critical",
        "cause": {
            "kind": "git-revision",
            "name": BAD,
            "source": "https://git.example/fleet.git",
            "commit": {"revision": BAD, "author": "Kari", "message": "Raise the limit", "time": stamp(START_MS)},
        },
        "title": f"{BAD} fails in 3 clusters",
        "blast_radius": {
            "clusters": 2,
            "clusters_ever": 3,
            "objects": 2,
            "symptoms": {"failing": 2},
            "clusters_by_site": {"bergen": 1, "oslo": 4, "": 1},
            "clusters_by_environment": {"prd": 2},
        },
        "members": [member(1), member(2), member(3, until=stamp(NOW_MS))],
        "first": member(2),
        "outcomes": {"corrected": 1},
        "opened_at": stamp(START_MS),
        "changed_at": stamp(START_MS),
        "evidence": {"as_of": stamp(START_MS), "complete": True},
        **given,
    }
    return printed(Shown(Incident.model_validate(data), data, NOW_MS, None if every else 2))


def test_it_tells_who_changed_what_how_far_it_reaches_and_where_it_began() -> None:
    assert shown().splitlines() == [
        "✖ 0123456789abcdef  critical  2 clusters  git-revision main@bbbbbbb “Raise the limit” by Kari  60 s",
        "ago",
        "  main@bbbbbbb fails in 3 clusters",
        "",
        "cause         git-revision main@bbbbbbb",
        "              “Raise the limit” by Kari, 60 s ago",
        "              https://git.example/fleet.git",
        "reaches       2 clusters now, 3 at some time; 2 objects",
        "symptoms      2 failing",
        "sites         4 oslo, 1 (none), 1 bergen",
        "environments  2 prd",
        "commands      1 corrected",
        "first seen    edge-2, 60 s ago: Kustomization flux-system/apps does not apply",
        "opened        60 s ago",
        "evidence      as of 60 s ago, complete",
        "",
        "   cluster  site  symptom  object                          since",
        "▲  edge-1   oslo  failing  Kustomization flux-system/apps  60 s ago",
        "▲  edge-2   oslo  failing  Kustomization flux-system/apps  60 s ago",
        "and 1 more: --all",
        "",
        "next  abdrift drift show f2    # where it was seen first",
    ]


def test_every_member_is_listed_where_asked_for() -> None:
    assert "✓  edge-3" in shown(every=True)


ENDS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "over": (
        {"state": "closed", "closed_at": stamp(NOW_MS), "closed_because": "recovered"},
        ["✓ 0123456789abcdef", "3 clusters", "0.0 s ago: recovered", "abdrift timeline edge-2"],
    ),
    "part-of-a-wider-one": ({"superseded_by": "fedc"}, ["superseded by fedc"]),
    "more-than-are-listed": ({"members_omitted": 9}, ["9 members more than an incident lists"]),
    "of-a-cluster-as-a-whole": ({"members": [member(1, object=None)]}, ["the cluster itself"]),
    "without-a-finding": ({"first": member(7, finding_ids=[])}, ["abdrift timeline edge-7"]),
}


@pytest.mark.parametrize(("given", "says"), ENDS.values(), ids=ENDS)
def test_what_is_special_of_it_is_said(given: dict[str, Any], says: list[str]) -> None:
    told = shown(**given)
    assert all(each in told for each in says)


def test_every_incident_of_the_contract_can_be_shown() -> None:
    for example in (full(Incident), minimal(Incident)):
        data = example.model_dump(mode="json", exclude_none=True)
        assert "cause" in printed(Shown(Incident.model_validate(data), data, NOW_MS))

"""`abdrift fleet status`: the fleet as it stands, for a terminal and as JSON."""

from __future__ import annotations

import io

import orjson
import pytest
from rich.console import Console

from abdrift.cli.fleet import Status
from abdrift.fleetstate import STALE_AFTER_MS, Fleet
from abdrift.topics import BREAKER, FLEET_DECISIONS, FLEET_DRIFT, FLEET_HEALTH, FLEET_INCIDENTS, FLEET_INVENTORY
from tests.abdrift.cli.test_looks import printed
from tests.abdrift.test_fleetstate import change, health, incident
from tests.streams.governor.world import START_MS, World, stamp

BAD = "main@sha1:" + "b" * 40


@pytest.fixture
def fleet() -> Fleet:
    """Three clusters: one healthy and off course, one silent, one that only the inventory names."""
    world, fleet = World(), Fleet()
    for number in (1, 2, 3):
        labels = {"site": f"site-{number}", "environment": "prd"}
        fleet.take(change(FLEET_INVENTORY, world.inventory(f"edge-{number}", labels=labels)))
    fleet.take(change(FLEET_HEALTH, health(world)))
    fleet.take(change(FLEET_HEALTH, world.silence("edge-2")))
    fleet.take(change(FLEET_DRIFT, world.finding()))
    commit = {"revision": BAD, "author": "Kari", "message": "Raise the limit"}
    cause = {"kind": "git-revision", "name": BAD, "commit": commit}
    fleet.take(change(FLEET_INCIDENTS, incident(world, "i1", cause=cause, opened_at=stamp(START_MS))))
    told = {"revision": 1, "open": True, "since": stamp(START_MS), "reasons": [{"code": "surge", "message": "a surge"}]}
    fleet.take(change(FLEET_DECISIONS, world.event(BREAKER, "governor", told, None)))
    return fleet


def test_it_can_be_read_without_colour(fleet: Fleet) -> None:
    assert printed(Status(fleet, START_MS + 60_000)).splitlines() == [
        "clusters    3   ● 1 healthy   ◐ 0 degraded   ▲ 0 failing   ○ 2 unknown",
        "off course  ◆ 1 cluster:   1 changed   (`abdrift drift list`)",
        "incidents   ✖ 1 open",
        "commands    0 in flight; in the last hour: none ended",
        "governor    ! stopped, 60 s ago: a surge (`abdrift command thaw`)",
        "evidence    newest fact 60 s ago; ○ 1 agent silent: edge-2 60 s ago",
        "✖ i1  critical  2 clusters  git-revision main@bbbbbbb “Raise the limit” by Kari  60 s ago",
        "",
        "site            clusters  ● healthy  ◐ degraded  ▲ failing  ○ unknown  ◆ drifted",
        "site-1                 1          1           0          0          0          1",
        "site-2                 1          0           0          0          1          0",
        "site-3                 1          0           0          0          1          0",
        "",
        "environment     clusters  ● healthy  ◐ degraded  ▲ failing  ○ unknown  ◆ drifted",
        "prd                    3          1           0          0          2          1",
    ]


def test_a_narrow_terminal_has_every_number_whole(fleet: Fleet) -> None:
    console = Console(file=io.StringIO(), width=60, highlight=False)
    with console.capture() as captured:
        console.print(Status(fleet, START_MS + 60_000))
    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert lines[:3] == [
        "clusters    3   ● 1 healthy   ◐ 0 degraded   ▲ 0 failing",
        "            ○ 2 unknown",
        "off course  ◆ 1 cluster:   1 changed",
    ]
    assert "site            clusters  ●  ◐  ▲  ○  ◆" in lines
    assert "site-1                 1  1  0  0  0  1" in lines


def test_incidents_that_are_over_are_counted(fleet: Fleet) -> None:
    over = incident(World(), "i1", state="closed", opened_at=stamp(START_MS), revision=2)
    fleet.take(change(FLEET_INCIDENTS, over))
    assert "incidents   none open; 1 over (`abdrift incident list --state closed`)" in printed(Status(fleet, START_MS))


def test_many_groups_are_cut_to_the_worst_unless_asked_for(fleet: Fleet) -> None:
    short = printed(Status(fleet, START_MS, ["site"], rows=1))
    assert "and 2 more, of which 2 have clusters that are not healthy or off course: --by site" in short
    assert "site-3" not in short
    assert "site-3" in printed(Status(fleet, START_MS, ["site"], rows=None))


def test_old_facts_are_not_shown_as_if_they_were_new(fleet: Fleet) -> None:
    late = Status(fleet, START_MS + STALE_AFTER_MS + 1)
    assert "! the newest fact about any cluster: 5 min ago" in printed(late)
    assert late.facts()["evidence"]["stale"] is True
    assert "nothing is told" not in printed(Status(fleet, START_MS))


def test_a_fleet_of_which_nothing_is_known_is_not_called_well() -> None:
    shown = printed(Status(Fleet(), START_MS))
    assert "newest fact about any cluster: never" in shown
    assert "nothing, as far as is known" in shown


def test_json_says_the_same(fleet: Fleet) -> None:
    facts = orjson.loads(orjson.dumps(Status(fleet, START_MS).facts()))
    assert facts["clusters"] == {"clusters": 3, "healthy": 1, "unknown": 2, "drifted": 1, "silent": 1}
    assert facts["by"]["site"]["site-1"]["drifted"] == 1
    assert facts["drift"] == {"changed": 1}
    assert facts["incidents"][0]["cause"]["commit"]["author"] == "Kari"
    assert "members" not in facts["incidents"][0]
    assert facts["governor"] == {"stopped": True, "frozen_by": None, "reasons": ["a surge"]}
    assert facts["evidence"]["silent"] == ["edge-2"]

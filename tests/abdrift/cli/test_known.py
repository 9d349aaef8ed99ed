"""What the terminal knows, and what it says of a name or an id that it does not."""

from __future__ import annotations

import pytest
import typer

from abdrift.cli.known import Known, near_to
from abdrift.latest import Latest
from abdrift.topics import FLEET_DRIFT, FLEET_HEALTH, FLEET_INVENTORY, Topic
from tests.streams.governor.world import START_MS, World

FINDINGS = ("abc1", "abc2", "abd")


@pytest.fixture
def known() -> Known:
    world, latest = World(), Latest()
    events = [(FLEET_DRIFT, world.finding(each)) for each in FINDINGS]
    events += [(FLEET_DRIFT, world.verdict()), (FLEET_DRIFT, world.finding("other", cluster="edge-2"))]
    events += [(FLEET_INVENTORY, world.inventory()), (FLEET_HEALTH, world.silence("edge-2"))]
    for topic, event in events:
        put(latest, topic, event.subject, event.encode())
    return Known(latest, START_MS)


def put(latest: Latest, topic: Topic, key: str, value: bytes) -> None:
    latest.values.setdefault(topic.name, {})[key] = value
    latest.appended_ms.setdefault(topic.name, {})[key] = START_MS


@pytest.mark.parametrize(("text", "found"), [("abd", "abd"), ("abc1", "abc1"), ("ot", "other")])
def test_the_beginning_of_an_id_is_enough(known: Known, text: str, found: str) -> None:
    assert known.finding(text).key == found


MISSES = {
    "several": ("abc", ["'abc' begins 2 ids: abc1, abc2"]),
    "none": ("xyz", ["no finding 'xyz' is known", "abdrift drift list --state all"]),
    "nearly": ("abc3", ["Near to it: abc"]),
    "a-verdict": ("verdict-edge-1-apps", ["no finding"]),
    "empty": ("", ["no finding ''"]),
}


@pytest.mark.parametrize(("text", "says"), MISSES.values(), ids=MISSES)
def test_what_no_id_begins_with_says_what_is_near(
    known: Known, text: str, says: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit):
        known.finding(text)
    said = " ".join(capsys.readouterr().err.split())
    assert all(each in said for each in says)


def test_a_cluster_is_known_by_its_inventory_or_its_health(known: Known, capsys: pytest.CaptureFixture[str]) -> None:
    assert known.names() == ["edge-1", "edge-2"]
    known.require_cluster("edge-2")
    with pytest.raises(typer.Exit):
        known.require_cluster("edge-3")
    assert "Near to it: edge-2, edge-1" in capsys.readouterr().err


def test_of_one_cluster_only_its_own_facts_are_decoded(known: Known) -> None:
    fleet = known.cluster("edge-2")
    assert (set(fleet.clusters), set(fleet.findings)) == ({"edge-2"}, {"other"})
    assert set(known.fleet().clusters) == {"edge-1", "edge-2"}


def test_names_that_begin_so_are_nearest() -> None:
    assert near_to("edge-1", ["edge-2", "edge-10", "other"]) == ["edge-10", "edge-2"]

"""What the page is told: everything to who knows nothing, and what changed to who knows a version."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sinks.web import model as models
from sinks.web.model import Model
from sinks.web.versions import Versions
from tests.sinks.web import facts
from tests.sinks.web.world import NOW_MS, World

if TYPE_CHECKING:
    from tests.sinks.web.facts import Said


def gone(said: Said) -> Said:
    return replace(said, event=None)


@pytest.fixture
def world() -> World:
    world = World()
    world.tell([facts.inventory("a", site="fra1", region="eu"), facts.health("a"), facts.inventory("b", site="ber1")])
    return world


def test_versions_give_the_newest_first_and_each_key_once() -> None:
    versions: Versions[str] = Versions()
    for key in "abcab":
        versions.touch(key)
    assert list(versions.since(0)) == ["b", "a", "c"]
    assert list(versions.since(3)) == ["b", "a"]
    assert list(versions.since(5)) == []
    assert versions.drop("a") == 4
    assert list(versions.since(0)) == ["b", "c"]


def test_who_knows_nothing_is_told_everything(world: World) -> None:
    batch = world.since(epoch="")
    assert batch["whole"]
    assert sorted(batch["about"]) == [[0, "a", {"site": "fra1", "region": "eu"}], [1, "b", {"site": "ber1"}]]
    since_seconds = NOW_MS // 1000 - 7 * 60
    assert sorted(batch["cells"]) == [
        [0, 0, 0, 0, NOW_MS // 1000, since_seconds, 3],
        [1, 3, 0, 0, NOW_MS // 1000, 0, 0],
    ], "a cluster that no health fact tells of is unknown, never healthy"


def test_who_knows_a_version_is_told_what_changed_since(world: World) -> None:
    known = world.model.version
    world.tell([facts.health("b", "failing", why="broken")])
    world.tell([facts.health("b", "degraded", why="half", revision=2)])
    batch = world.since(known)
    assert "whole" not in batch
    assert "about" not in batch, "its labels are as they were"
    assert [row[:2] for row in batch["cells"]] == [[1, 1]], "the newest only, however often it changed"
    assert world.since(batch["version"]).keys() == {"epoch", "version", "now", "newest", "reading", "unreadable"}


@pytest.mark.parametrize(
    ("epoch", "version"),
    [
        pytest.param("other", 2, id="another process's version"),
        pytest.param("e1", 10**9, id="a version of the future"),
        pytest.param("", 0, id="none"),
    ],
)
def test_a_version_that_means_nothing_here_gets_everything(world: World, epoch: str, version: int) -> None:
    assert world.since(version, epoch)["whole"]


@pytest.mark.parametrize(
    ("said", "row"),
    [
        pytest.param([facts.changed("a", "f1")], [0, 0, 1, 0], id="drift"),
        pytest.param([facts.changed("a", "f1", kind="alert")], [0, 0, 0, 1], id="an alert is no drift"),
        pytest.param([facts.changed("a", "f1"), gone(facts.changed("a", "f1"))], [0, 0, 0, 0], id="taken back"),
        pytest.param([facts.health("a", "unknown", why="no heartbeat")], [0, 3, 0, 0], id="unknown"),
        pytest.param([gone(facts.health("a"))], [0, 3, 0, 0], id="health taken back is unknown"),
    ],
)
def test_a_cell_says_how_its_cluster_is(world: World, said: list[Said], row: list[int]) -> None:
    known = world.model.version
    world.tell(said)
    assert [cell[:4] for cell in world.since(known)["cells"]] == [row]


def test_a_command_is_news_of_its_cluster(world: World) -> None:
    known = world.model.version
    world.tell(facts.corrected("a", "c1", "f1"))
    assert [cell[0] for cell in world.since(known)["cells"]] == [0], "so that its open panel is read again"


def test_a_cluster_that_is_gone_is_told_of_and_may_come_back(world: World) -> None:
    known = world.model.version
    world.tell([gone(facts.inventory("a")), gone(facts.health("a"))])
    assert world.since(known)["gone"] == ["cluster/a"]
    assert [name for _, name, _ in world.since(epoch="")["about"]] == ["b"]
    world.tell([facts.inventory("a", site="fra1")])
    assert world.since(known)["about"] == [[2, "a", {"site": "fra1"}]], "under a number of its own"


def test_who_knows_less_than_is_remembered_of_the_gone_is_told_everything(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "GONE_KEPT", 2)
    world.tell([facts.inventory(name) for name in "cdef"])
    early = world.model.version
    world.tell([gone(facts.inventory(name)) for name in "cdef"])
    assert world.since(early)["whole"]
    assert [name for _, name, _ in world.since(early)["about"]] == ["b", "a"]
    assert world.since(world.model.version - 1)["gone"] == ["cluster/f"]


def test_an_incident_is_told_with_its_cause_and_reach(world: World) -> None:
    known = world.model.version
    world.tell([facts.incident({"a": "fra1", "b": "ber1"})])
    (told,) = world.since(known)["incidents"]
    assert told["open"]
    assert (told["cause"]["commit"]["author"], told["cause"]["commit"]["message"]) == (
        "Jo Fremd",
        "cart: take the image from the new registry",
    )
    assert (told["radius"]["clusters"], told["members"]) == (2, ["a", "b"])


def test_an_incident_that_is_no_incident_is_counted(world: World) -> None:
    bad = facts.incident({"a": "fra1"})
    assert bad.event is not None
    world.tell([replace(bad, event=bad.event.model_copy(update={"data": {**bad.event.data, "members": [7]}}))])
    assert world.since()["unreadable"] == 1
    assert "incidents" not in world.since(epoch="")


def test_of_closed_incidents_the_newest_are_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "INCIDENTS_TOLD", 1)
    world.tell([facts.incident({"a": "x"}, incident_id=name, state="closed") for name in ("one", "two")])
    world.tell([facts.incident({"a": "x"}, incident_id="three")])
    assert {told["id"] for told in world.since(epoch="")["incidents"]} == {"two", "three"}


def test_an_open_breaker_is_told_of(world: World) -> None:
    assert "breaker" not in world.since(epoch="")
    world.tell([facts.frozen_by("jo")])
    assert world.since(epoch="")["breaker"]["by"] == "jo"


def test_a_model_read_anew_is_of_another_epoch(world: World) -> None:
    other = World(Model("e2"))
    other.tell([facts.inventory("c")])
    world.model.become(other.model)
    assert world.since(1)["whole"], "whoever knew the first is told all of the second"
    assert [name for _, name, _ in world.since(1)["about"]] == ["c"]

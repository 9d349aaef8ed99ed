"""One cluster in full, and the archive of facts that it is made from."""

from __future__ import annotations

from dataclasses import replace

from sinks.web.archive import Archive
from tests.sinks.web import facts
from tests.sinks.web.world import World


def test_a_panel_says_what_differs_by_whom_and_what_was_done() -> None:
    world = World()
    world.tell(
        [
            facts.inventory("a", site="fra1"),
            facts.health("a", "failing", why="3 of 5 nodes are not ready"),
            facts.verdict("a", "apps"),
            facts.changed("a", "f1"),
            *facts.corrected("a", "c1", "f1"),
            facts.incident({"a": "fra1"}),
            facts.inventory("b"),
            facts.changed("b", "f2"),
        ]
    )
    panel = world.panel("a")
    assert panel is not None
    assert panel["health"]["reasons"][0]["message"] == "3 of 5 nodes are not ready"
    (finding,) = panel["findings"]
    image = finding["fields"][0]
    assert (image["old"][-6:], image["new"][-12:], image["by"]["manager"]) == ("1.14.2", "1.14.2-debug", "kubectl-edit")
    assert [owner["verdict"] for owner in panel["owners"]] == ["in-sync"]
    done = {entry["what"] for entry in panel["timeline"] if "f1" in entry.get("finding_ids", ())}
    assert {"found", "corrected"} <= done
    assert [entry["kind"] for entry in panel["timeline"]].count("incident") == 1
    assert panel["unreadable"] == 0
    assert world.panel("nobody") is None


def test_open_findings_stand_before_closed_ones_and_new_before_old() -> None:
    world = World()
    world.tell([facts.inventory("a")])
    for name, state in (("old", "open"), ("done", "closed"), ("new", "open")):
        times = {"opened_at": f"2026-11-23T0{len(name)}:{'59' if name == 'new' else '01'}:00Z"}
        world.tell([facts.changed("a", name, state=state, times=times)])
    panel = world.panel("a")
    assert panel is not None
    assert [finding["finding_id"] for finding in panel["findings"]] == ["new", "old", "done"]


def test_of_what_was_commanded_the_newest_are_kept() -> None:
    world = World(archive=Archive(recent_kept=2))
    world.tell([facts.inventory("a")])
    for number in range(5):
        world.tell(facts.corrected("a", f"c{number}", "f1"))
    assert sorted(world.model.fleet.commands) == ["c3", "c4"]
    assert sorted(world.model.fleet.outcomes) == ["c3", "c4"]
    commands = [told for told in world.archive.facts("a") if told.event["type"].endswith("command.v1")]
    assert [told.data["command_id"] for told in commands] == ["c3", "c4"]


def test_a_fact_that_was_taken_back_is_nobodys() -> None:
    world = World()
    world.tell([facts.inventory("a"), facts.changed("a", "f1")])
    assert len(world.archive.facts("a")) == 2
    world.tell([replace(facts.changed("a", "f1"), event=None), replace(facts.inventory("a"), event=None)])
    assert world.archive.facts("a") == []

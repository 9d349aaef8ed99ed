"""What comes of commands: budgets, back-off, fights, and the breaker."""

from typing import Any

import pytest

from abdrift.facts.commands import Command
from streams.governor.cells import BudgetCell, CommandCell, FindingCell, OwnerCell
from tests.streams.governor.world import ACT, START_MS, World, acting, brief

FAST = {"backoff": {"initial_seconds": 0}}
WIDE = {"cluster": {"in_flight": 99, "per_hour": 999}, "site": {"in_flight": 99, "per_hour": 999}}


def fleet(count: int, *, labels: dict[str, str] | None = None, **policy: Any) -> World:
    """Return a world of many clusters, each with a proven owner."""
    world = World()
    world.tell(world.policy(ACT, **policy))
    for number in range(count):
        name = f"edge-{number}"
        world.tell(world.inventory(name, labels=labels or {"site": name}), world.verdict(name))
    return world


def drift(world: World, cluster: str, finding_id: str | None = None, **more: Any) -> None:
    world.tell(world.finding(finding_id or f"f-{cluster}", cluster=cluster, **more))


def fails(world: World, seconds: float = 120) -> Command:
    """Have the newest command fail, and wait."""
    command = world.commands[-1]
    world.tell(world.outcome(command, "failed"))
    world.wait(seconds)
    return command


NO_SURGE = {"surge_percent": 100}
BUDGETS: dict[str, tuple[dict[str, Any], str]] = {
    "fleet-in-flight": ({"fleet": {"in_flight": 2, "per_hour": 99}}, "budget-fleet"),
    "fleet-per-hour": ({"fleet": {"in_flight": 99, "per_hour": 2}}, "budget-fleet"),
    "site": ({"site": {"in_flight": 2, "per_hour": 99}}, "budget-site"),
    "source-host": ({"source_host": {"in_flight": 2, "per_hour": 99}}, "budget-source-host"),
    "none-at-all": ({"cluster": {"in_flight": 0, "per_hour": 0}}, "budget-cluster"),
}


@pytest.mark.parametrize(("budgets", "code"), BUDGETS.values(), ids=BUDGETS)
def test_a_budget_defers_what_exceeds_it(budgets: dict[str, Any], code: str) -> None:
    world = fleet(4, labels={"site": "oslo"}, budgets=budgets, breaker=NO_SURGE)
    for number in range(4):
        drift(world, f"edge-{number}")
    allowed = 0 if code == "budget-cluster" else 2
    assert len(world.commands) == allowed
    assert world.last == f"deferred: {code}"
    assert world.decisions[-1].retry_at is not None


def test_an_outcome_gives_the_flight_back_and_the_hour_remembers() -> None:
    world = fleet(3, budgets={"fleet": {"in_flight": 1, "per_hour": 2}}, breaker=NO_SURGE)
    for number in range(3):
        drift(world, f"edge-{number}")
    world.tell(world.outcome(world.commands[0]), world.closing("f-edge-0", cluster="edge-0"))
    world.wait(2)
    assert len(world.commands) == 2
    world.tell(world.outcome(world.commands[1]), world.closing("f-edge-1", cluster="edge-1"))
    world.wait(2)
    assert len(world.commands) == 2
    world.now_ms = START_MS + 3_600_000
    world.tell(world.inventory("edge-2", labels={"site": "edge-2"}))
    world.wait(70)
    assert len(world.commands) == 3


def test_each_host_that_a_cluster_follows_counts() -> None:
    world = fleet(2, budgets={"source_host": {"in_flight": 1, "per_hour": 9}}, breaker=NO_SURGE)
    urls = ("https://git.example/a.git", "git@ssh.example:b.git")
    for name, url in zip(("edge-0", "edge-1"), urls, strict=True):
        source = {"git_sources": [{"url": url, "ref": "refs/heads/main"}]}
        world.tell(world.inventory(name, labels={"site": name}, **source))
        drift(world, name)
    assert len(world.commands) == 2
    assert {k for k in world.cells if k.startswith("budget/source-host/")} == {
        "budget/source-host/git.example",
        "budget/source-host/ssh.example",
    }


def test_an_accepted_command_is_still_in_flight() -> None:
    world = acting()
    world.tell(world.finding())
    world.tell(world.outcome(world.commands[0], "accepted", revision=1))
    world.wait(60)
    assert world.cells["budget/fleet/"].in_flight == 1
    assert len(world.commands) == 1


def test_a_command_without_outcome_counts_until_nobody_can_be_at_it() -> None:
    world = acting(limits={"command_ttl_seconds": 30}, backoff={"initial_seconds": 3600})
    world.tell(world.finding())
    world.wait(59)
    assert world.cells["budget/fleet/"].in_flight == 1
    world.wait(1)
    assert world.cells["budget/fleet/"].in_flight == 0
    assert world.last == "deferred: back-off"
    assert "no-outcome" in world.decisions[-1].reasons[0].message


def test_an_unanswered_command_is_not_given_up_while_answers_may_lie_unread() -> None:
    world = acting(limits={"command_ttl_seconds": 30})
    world.tell(world.finding())
    world.restoring = True
    world.wait(90)
    assert world.cells["budget/fleet/"].in_flight == 1


def test_back_off_grows_until_a_person_is_asked() -> None:
    world = acting(
        backoff={"initial_seconds": 10, "max_seconds": 30, "max_attempts": 4}, breaker={"failed_outcomes": 99}
    )
    world.tell(world.finding())
    waits = []
    for _ in range(3):
        world.tell(world.outcome(world.commands[-1], "failed"), world.inventory())
        issued, since = len(world.commands), world.now_ms
        while len(world.commands) == issued:
            world.wait(1)
        waits.append((world.now_ms - since) // 1000)
    assert waits == [10, 20, 30]
    fails(world)
    assert (world.last, len(world.commands)) == ("refused: attempts-exhausted", 4)
    world.tell(world.inventory(), world.word("approve", "f1"))
    assert [c.attempt for c in world.commands] == [1, 2, 3, 4, 1]


def test_a_release_forgives_attempts() -> None:
    world = acting(backoff={"initial_seconds": 0, "max_attempts": 1})
    world.tell(world.finding())
    fails(world, 2)
    assert world.last == "refused: attempts-exhausted"
    world.tell(world.word("release", "f1"))
    assert len(world.commands) == 2


def test_attempts_are_forgotten_once_nothing_is_open() -> None:
    world = acting(backoff={"initial_seconds": 600})
    world.tell(world.finding())
    fails(world, 1)
    world.tell(world.closing(), world.finding("f2"))
    assert [c.attempt for c in world.commands] == [1, 1]


def test_a_rejection_waits_but_opens_no_breaker() -> None:
    world = acting(breaker={"failed_outcomes": 1})
    world.tell(world.finding())
    world.tell(world.outcome(world.commands[0], "rejected"))
    assert (world.last, world.breakers) == ("deferred: back-off", [])


def test_after_a_correction_the_closing_is_awaited() -> None:
    world = acting(**FAST)
    world.tell(world.finding())
    world.tell(world.outcome(world.commands[0]), world.finding(revision=2))
    world.wait(4)
    assert len(world.commands) == 1
    world.tell(world.closing(revision=3))
    world.wait(60)
    assert len(world.commands) == 1


def test_what_is_said_to_be_corrected_but_stays_open_is_tried_once_more_and_then_a_fight() -> None:
    world = acting(**FAST)
    world.tell(world.finding())
    for _ in range(2):
        world.tell(world.outcome(world.commands[-1]))
        world.wait(5)
    assert (len(world.commands), world.last) == (2, "refused: fight")


def round_of_fight(world: World, number: int, **more: Any) -> None:
    """Have someone undo, Flux redo, and the finding close."""
    finding_id = f"r{number}"
    world.tell(world.inventory(), world.finding(finding_id, **FOUGHT, **more))
    world.tell(world.outcome(world.commands[-1]), world.closing(finding_id, **FOUGHT, **more))
    world.wait(10)


FOUGHT = {"object": {"group": "apps", "kind": "Deployment", "namespace": "web", "name": "shop"}, "managers": ["tuner"]}


def test_a_fight_is_stopped_after_two_rounds_and_both_are_named() -> None:
    world = acting(**FAST)
    for number in range(2):
        round_of_fight(world, number)
    world.tell(world.finding("r2", **FOUGHT))
    assert (world.last, len(world.commands)) == ("refused: fight", 2)
    assert "kustomize-controller and tuner" in world.decisions[-1].reasons[0].message
    world.wait(100)
    assert len(world.commands) == 2
    world.tell(world.word("approve", "r2"))
    assert len(world.commands) == 3


def test_an_alert_that_is_resolved_with_an_edit_is_no_round_of_a_fight() -> None:
    world = acting(rule={"kinds": ["alert", "changed"], "grace_seconds": 1}, **{**FAST, "fight": {"rounds": 2}})
    alert = {**FOUGHT, "kind": "alert", "fields": [], "reconcile_corrects": "yes"}
    for number in range(2):
        world.tell(world.inventory(), world.finding(f"a{number}", **alert), world.finding(f"r{number}", **FOUGHT))
        world.wait(2)
        assert len(world.commands) == number + 1
        world.tell(world.outcome(world.commands[-1]))
        world.tell(world.closing(f"a{number}", **alert), world.closing(f"r{number}", **FOUGHT))
        world.wait(10)
    world.tell(world.finding("a2", **alert))
    world.wait(2)
    assert (world.last, len(world.commands)) == ("commanded: allowed", 3)


def test_a_fight_over_a_whole_object_is_over_any_of_its_fields() -> None:
    world = acting(**FAST)
    round_of_fight(world, 0, kind="deleted", fields=[])
    round_of_fight(world, 1, fields=[{"path": "/spec", "op": "replace"}])
    world.tell(world.finding("r2", **FOUGHT))
    assert world.last == "refused: fight"


def test_a_release_ends_a_fight_that_outlasted_its_findings() -> None:
    world = acting(**FAST)
    for number in range(2):
        round_of_fight(world, number)
    world.tell(world.finding("r2", **FOUGHT), world.closing("r2", **FOUGHT), world.finding("r3", **FOUGHT))
    assert world.last == "refused: fight"
    world.tell(world.word("release", "owner/edge-1/Kustomization/flux-system/apps"))
    assert len(world.commands) == 3


NO_FIGHT: dict[str, dict[str, Any]] = {
    "other-object": {"object": {"kind": "ConfigMap", "namespace": "web", "name": "shop"}},
    "other-path": {"fields": [{"path": "/spec/replicasOther", "op": "replace"}]},
}


@pytest.mark.parametrize("other", NO_FIGHT.values(), ids=NO_FIGHT)
def test_drift_elsewhere_is_no_fight(other: dict[str, Any]) -> None:
    world = acting(**FAST)
    for number in range(2):
        round_of_fight(world, number)
    world.tell(world.finding("r2", **{**FOUGHT, **other}))
    assert world.last == "commanded: allowed"


def test_rounds_far_apart_are_no_fight() -> None:
    world = acting(**FAST, fight={"window_seconds": 15})
    for number in range(5):
        round_of_fight(world, number)
    assert len(world.commands) == 5


def test_failing_outcomes_open_the_breaker_until_a_thaw() -> None:
    world = fleet(4, breaker={"failed_outcomes": 3, "surge_percent": 100}, backoff={"initial_seconds": 0})
    for number, result in enumerate(("failed", "handled-not-corrected", "expired")):
        drift(world, f"edge-{number}")
        world.tell(
            world.outcome(world.commands[-1], result), world.closing(f"f-edge-{number}", cluster=f"edge-{number}")
        )
    assert [b.reasons[0].code for b in world.breakers] == ["failing-outcomes"]
    drift(world, "edge-3")
    assert world.last == "refused: breaker-open"
    early = world.word("thaw", "fleet")
    world.tell(early)
    assert brief(world.decisions[-1]) == "refused: thaw-too-early"
    world.wait(60)
    world.tell(
        *(world.inventory(f"edge-{n}", labels={"site": f"edge-{n}"}) for n in range(4)), world.word("thaw", "fleet")
    )
    world.wait(1)
    assert [b.open for b in world.breakers] == [True, False]
    assert world.last == "commanded: allowed"


def test_failures_far_apart_open_nothing() -> None:
    world = acting(
        backoff={"initial_seconds": 0, "max_attempts": 99}, breaker={"failed_outcomes": 2, "failed_window_seconds": 50}
    )
    world.tell(world.finding())
    for _ in range(3):
        world.tell(world.inventory())
        fails(world, 60)
    assert not world.breakers


def test_a_surge_stops_the_fleet_and_a_thaw_forgives_it() -> None:
    world = fleet(20, breaker={"surge_percent": 20, "surge_min_clusters": 3})
    for number in range(8):
        drift(world, f"edge-{number}")
    assert len(world.commands) == 4
    assert (world.last, [b.reasons[0].code for b in world.breakers]) == ("refused: breaker-open", ["surge"])
    world.wait(1)
    world.tell(world.word("thaw", "fleet"))
    world.wait(1)
    assert len(world.commands) == 8
    assert [b.open for b in world.breakers] == [True, False]


NO_SURGES: dict[str, tuple[int, dict[str, Any]]] = {
    "few-clusters": (5, {"surge_min_clusters": 6}),
    "under-the-share": (10, {"surge_percent": 50}),
}


@pytest.mark.parametrize(("clusters", "breaker"), NO_SURGES.values(), ids=NO_SURGES)
def test_less_than_a_surge_stops_nothing(clusters: int, breaker: dict[str, Any]) -> None:
    world = fleet(clusters, breaker=breaker)
    for number in range(5):
        drift(world, f"edge-{number}")
    assert len(world.commands) == 5


def test_a_surge_counts_what_opened_within_the_window() -> None:
    world = fleet(5, breaker={"surge_percent": 1, "surge_min_clusters": 3, "surge_window_seconds": 30})
    for number in range(4):
        world.wait(16)
        drift(world, f"edge-{number}")
    assert not world.breakers


def test_findings_at_first_sight_are_no_surge() -> None:
    world = fleet(5, breaker={"surge_percent": 1, "surge_min_clusters": 2})
    for number in range(5):
        drift(world, f"edge-{number}", certainty="suspect")
    assert not world.breakers


def test_ten_findings_in_one_cluster_are_no_surge() -> None:
    world = fleet(5, breaker={"surge_percent": 1, "surge_min_clusters": 2})
    for number in range(10):
        world.wait(1)
        drift(world, "edge-0", f"f{number}")
    assert not world.breakers


IGNORED: dict[str, dict[str, Any]] = {
    "unknown-command": {"command_id": "forged"},
    "another-cluster": {"cluster": {"name": "edge-9"}},
    "stale-revision": {"revision": 1},
}


@pytest.mark.parametrize("change", IGNORED.values(), ids=IGNORED)
def test_outcomes_that_are_not_of_this_command_change_nothing(change: dict[str, Any]) -> None:
    world = acting()
    world.tell(world.finding())
    world.tell(world.outcome(world.commands[0], "accepted", revision=1))
    final = world.outcome(world.commands[0])
    world.tell(final.model_copy(update={"data": {**final.data, **change}}))
    assert world.cells["budget/fleet/"].in_flight == 1


def test_an_outcome_told_twice_counts_once() -> None:
    world = acting(breaker={"failed_outcomes": 2})
    world.tell(world.finding())
    failed = world.outcome(world.commands[0], "failed")
    world.tell(failed, failed, world.outcome(world.commands[0], "failed", revision=3))
    assert world.cells["budget/fleet/"].in_flight == 0
    assert not world.breakers


def test_a_correction_that_comes_too_late_still_counts_in_a_fight() -> None:
    world = acting(limits={"command_ttl_seconds": 10}, backoff={"initial_seconds": 3600})
    world.tell(world.finding())
    world.wait(20)
    world.tell(world.outcome(world.commands[0]))
    owner = next(c for c in world.cells.values() if isinstance(c, OwnerCell))
    assert (len(owner.corrections), owner.attempts) == (1, 0)


def test_state_shrinks_to_what_still_matters() -> None:
    world = acting()
    world.tell(world.finding())
    world.tell(world.outcome(world.commands[0]), world.closing())
    world.bury("verdict-edge-1-apps")
    world.bury("edge-1")
    world.now_ms += 3 * 3_600_000
    world.wait(61)
    kinds = {type(c).__name__ for c in world.cells.values()}
    assert kinds == {"FleetCell", "PolicyCell"}


def test_an_owner_without_anything_to_remember_is_forgotten() -> None:
    world = acting()
    world.tell(world.finding())
    world.tell(world.outcome(world.commands[0]), world.closing())
    world.bury("f1")
    world.bury("nothing-known")
    world.bury("verdict-edge-1-apps")
    world.now_ms += 2 * 3_600_000
    world.wait(61)
    assert not [c for c in world.cells.values() if isinstance(c, OwnerCell | FindingCell | BudgetCell)]


def test_an_open_finding_that_is_buried_leaves_its_owner() -> None:
    world = acting(rule={"grace_seconds": 30})
    world.tell(world.finding())
    world.bury("f1")
    world.wait(60)
    assert not world.commands


def test_a_command_to_a_cluster_that_is_gone_is_given_up_in_time() -> None:
    world = acting(limits={"command_ttl_seconds": 10})
    world.tell(world.finding())
    world.bury("edge-1")
    world.wait(20)
    assert world.cells["budget/fleet/"].in_flight == 0
    assert [c.released for c in world.cells.values() if isinstance(c, CommandCell)] == [True]
    world.tell(world.outcome(world.commands[0]))

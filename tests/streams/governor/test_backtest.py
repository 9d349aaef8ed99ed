"""A policy tried on recorded facts."""

from abdrift.facts.governance import Policy
from streams.governor.backtest import replay
from streams.step import Input
from tests.streams.governor.world import ACT, START_MS, World


def recorded() -> list[Input]:
    """Return what a fleet without a policy recorded: two drifts, a minute apart, and what belonged to other times."""
    world = World()
    events = [
        world.policy({"name": "old"}),
        world.inventory(),
        world.verdict(),
        world.finding(),
        world.word("freeze", "fleet"),
    ]
    log = [world.record(e) for e in events]
    for _ in range(30):
        world.now_ms += 2_000
        log.append(world.record())
    log.append(world.record(world.closing()))
    log.append(world.record(world.finding("f2")))
    log.append(world.record(tombstone="f1"))
    return log


def policy(**more: object) -> Policy:
    return Policy.model_validate({"name": "tried", "rules": [ACT], **more})


def test_it_tells_what_would_have_been_commanded() -> None:
    found = replay(recorded(), policy())
    assert [c.finding_ids for c in found.commands] == [("f1",), ("f2",)]
    assert found.counts() == {"commanded": {"allowed": 2}}
    assert found.records == 36


def test_what_came_before_only_builds_up_what_was_known() -> None:
    found = replay(recorded(), policy(), since_ms=START_MS + 60_000)
    assert [c.finding_ids for c in found.commands] == [("f2",)]


def test_it_counts_how_often_the_breaker_would_have_opened() -> None:
    found = replay(recorded(), policy(breaker={"surge_min_clusters": 1}))
    assert (found.breaker_openings, found.commands) == (1, [])
    assert found.counts()["refused"]["breaker-open"] == 2


def test_without_records_nothing_is_found() -> None:
    assert replay([], policy()).counts() == {}

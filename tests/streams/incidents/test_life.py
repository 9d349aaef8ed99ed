"""How an incident opens, is told, and ends."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from abdrift.clock import to_datetime
from abdrift.facts.commands import OutcomeResult
from abdrift.facts.drift import GitCommit
from abdrift.facts.governance import IncidentThresholds
from abdrift.signing import SignatureRefused
from abdrift.topics import VERDICT
from streams.incidents import IncidentsStep, life, telling
from streams.step import Batch
from tests.streams.incidents.world import (
    APPS,
    BAD,
    BLAME,
    GOOD,
    T0,
    URL,
    World,
    at_site,
    behind,
    closed,
    failing,
    health,
    inventory,
    names,
    outcome,
    policy,
    silent,
    trusted,
)

if TYPE_CHECKING:
    from abdrift.cloudevents import CloudEvent

QUIET_SECONDS = IncidentThresholds().quiet_seconds
DAY_SECONDS = 86_400


def test_the_first_sight_of_the_cause_is_told_with_the_symptom_that_reaches_the_threshold() -> None:
    world = World().feed(inventory("a", site="ber1", environment="prd"), failing("a"))
    assert not world.told
    (one,) = world.feed(failing("b")).told
    assert (one.cause.name, one.cause.source, one.cause.commit) == (BAD, URL, BLAME)
    assert one.title == "main@bbbbbbb fails in 2 clusters: “Raise the limits” by mallory <m@lab>"
    assert (one.severity, one.revision, one.opened_at) == ("critical", 1, to_datetime(T0 + 3_000))
    assert (one.first.cluster.name, one.first.labels) == ("a", {"site": "ber1", "environment": "prd"})
    assert [(m.cluster.name, m.finding_ids, m.until) for m in one.members] == [
        ("a", ("failing-a-Kustomization-infra",), None),
        ("b", ("failing-b-Kustomization-infra",), None),
    ]
    assert (one.evidence.complete, one.evidence.as_of) == (True, to_datetime(T0))


def test_author_and_message_are_filled_in_when_they_become_known() -> None:
    nameless = GitCommit(revision=BAD)
    world = World().feed(failing("a", attempted=nameless), failing("b", attempted=nameless))
    assert world.only().cause.commit is None
    world.feed(failing("b", revision=2)).wait(2)
    assert world.only().cause.commit == BLAME
    world.feed(failing("b", attempted=nameless, revision=3)).wait(2)
    assert world.only().cause.commit == BLAME


def test_whose_commit_it_was_is_told_at_once() -> None:
    nameless = GitCommit(revision=BAD)
    world = World().feed(*(failing(name, attempted=nameless) for name in "abc"), every_ms=10)
    assert (len(world.told), world.only().cause.commit) == (1, None)
    world.feed(failing("b", revision=2), every_ms=10)
    assert (len(world.told), world.only().cause.commit, world.only().blast_radius.clusters) == (2, BLAME, 3)
    world.feed(failing("c", revision=2), every_ms=10)
    assert len(world.told) == 2, "it is known already"


def test_members_are_told_together_at_most_once_a_second() -> None:
    world = World().feed(*(failing(name) for name in names("c", 100)), every_ms=20)
    assert len(world.told) <= 1 + 2
    world.wait(2)
    assert (world.only().blast_radius.clusters, len(world.told)) == (100, world.only().revision)
    assert len(world.ids) == len(set(world.ids))
    told = len(world.told)
    assert len(world.wait(10).told) == told


def test_the_blast_radius_counts_clusters_sites_and_symptoms() -> None:
    world = World().feed(*at_site("ber1", 3), *at_site("muc1", 1), inventory("loose"))
    clusters = (*names("ber1", 3), "muc1-000", "loose")
    world.feed(*map(failing, clusters), behind("loose", at=APPS), behind("ber1-000")).wait(2)
    radius = world.only().blast_radius
    assert (radius.clusters, radius.clusters_ever, radius.objects) == (5, 5, 6)
    assert radius.symptoms == {"behind": 1, "failing": 5}
    assert radius.clusters_by_site == {"ber1": 3, "muc1": 1, "unlabelled": 1}
    assert radius.clusters_by_environment == {"prd": 4, "unlabelled": 1}


def test_the_findings_about_one_object_are_one_member_led_by_the_gravest() -> None:
    world = World().feed(behind("a"), behind("b")).wait(1)
    assert (world.only().severity, world.only().title) == ("warning", "main@bbbbbbb is not applied in 2 clusters")
    world.feed(failing("a", attempted=GitCommit(revision=BAD))).wait(2)
    member = world.only().members[0]
    assert (member.symptom, len(member.finding_ids), world.only().blast_radius.objects) == ("failing", 2, 2)
    assert (world.only().severity, len(world.told)) == ("critical", 2)
    world.feed(closed(failing("a"))).wait(2)
    assert world.only().members[0].symptom == "behind"


def test_it_closes_when_all_members_have_been_well_for_a_while() -> None:
    world = World().feed(failing("a"), failing("b"), closed(failing("a"))).wait(2)
    one = world.only()
    assert [(m.cluster.name, m.until is None) for m in one.members] == [("b", True), ("a", False)]
    assert (one.blast_radius.clusters, one.blast_radius.clusters_ever) == (1, 2)
    world.feed(closed(failing("b"))).wait(QUIET_SECONDS - 2)
    assert world.only().state == "open"
    world.wait(3)
    one = world.only()
    assert (one.state, one.closed_because, one.blast_radius.objects) == ("closed", "recovered", 0)
    assert (one.severity, one.title.partition(":")[0]) == ("critical", "main@bbbbbbb failed in 2 clusters")
    assert {key.partition("/")[0] for key in world.cells} == {"clock", "commit", "symptom", "tombs"}


def test_a_symptom_that_comes_back_in_time_keeps_it_open() -> None:
    world = World().feed(failing("a"), failing("b"), closed(failing("a")), closed(failing("b")))
    world.wait(QUIET_SECONDS - 5).feed(failing("a", revision=20)).wait(QUIET_SECONDS * 2)
    assert (world.only().state, world.only().blast_radius.clusters) == ("open", 1)


def test_the_same_cause_later_is_another_incident() -> None:
    world = World().feed(failing("a"), failing("b"), closed(failing("a")), closed(failing("b"))).wait(QUIET_SECONDS + 2)
    world.feed(failing("a", revision=20), failing("b", revision=20))
    assert [one.state for one in world.newest.values()] == ["closed", "open"]


def test_a_fix_that_fails_too_takes_the_members_over() -> None:
    fix = GitCommit(revision=GOOD)
    world = World().feed(failing("a"), failing("b"))
    world.feed(failing("a", attempted=fix, revision=2), failing("b", attempted=fix, revision=2)).wait(QUIET_SECONDS + 2)
    first, second = world.newest.values()
    assert (first.state, first.closed_because) == ("closed", "superseded")
    assert (second.state, second.cause.name) == ("open", GOOD)


def test_a_day_after_its_end_it_is_forgotten() -> None:
    world = World().feed(failing("a"), failing("b"), closed(failing("a")), closed(failing("b"))).wait(QUIET_SECONDS + 2)
    world.feed(None, every_ms=(DAY_SECONDS - 1) * 1_000)
    assert len(world.newest) == 1
    world.feed(None, every_ms=3_600_000)
    assert not world.newest
    assert set(world.cells) == {"clock"}


def test_a_cluster_that_is_forgotten_takes_its_symptoms_along() -> None:
    world = World().feed(*at_site("ber1", 4), *map(silent, names("ber1", 4)), failing("ber1-000"), failing("ber1-001"))
    assert len(world.open()) == 2
    world.feed("ber1-000", "failing-ber1-001-Kustomization-infra", "cluster/ber1-001", "ber1-002", "ber1-003")
    world.wait(QUIET_SECONDS + 2)
    assert {one.closed_because for one in world.newest.values()} == {"forgotten"}
    world.feed(inventory("ber1-001", site="muc1"), "ber1-001", "nobody")
    assert not [key for key in world.cells if key.startswith(("cluster/", "site/", "group/", "shard/"))]


def test_silence_ends_with_a_word_and_is_told_once_however_often_it_is_repeated() -> None:
    world = World().feed(*at_site("ber1", 3), *map(silent, names("ber1", 3))).wait(2)
    told = len(world.told)
    world.feed(*(silent(name, revision) for revision in range(2, 6) for name in names("ber1", 3))).wait(2)
    assert len(world.told) == told
    world.feed(*(health(name, "healthy", revision=7) for name in names("ber1", 3)), silent("ber1-000", 6))
    assert world.wait(QUIET_SECONDS + 2).only().state == "closed"


def test_a_node_out_of_sight_has_not_recovered() -> None:
    nodes = ("n1", "n2", "n3")
    world = World().feed(*(health("a", "failing", "NotReady", node=node, pool="w") for node in nodes))
    world.feed(*(health("a", "unknown", "Silent", node=node, pool="w", revision=2) for node in nodes)).wait(2)
    assert world.only().title == "Node pool a/w has nodes that are not ready: 3"
    assert {m.resource_id for m in world.only().members} == {f"node/a/Node/{node}" for node in nodes}
    world.feed(*(health("a", "healthy", node=node, pool="w", revision=3) for node in nodes)).wait(QUIET_SECONDS + 2)
    assert world.only().state == "closed"


def test_outcomes_of_commands_for_members_are_counted_once_each_by_their_newest_result() -> None:
    one, other = failing("a"), failing("b")
    world = World().feed(one, outcome(one, OutcomeResult.ACCEPTED), other)
    assert world.only().outcomes == {"accepted": 1}
    failed = outcome(one, OutcomeResult.FAILED, revision=2)
    world.feed(failed, failed, outcome(other, OutcomeResult.CORRECTED, command="c2")).wait(2)
    assert world.only().outcomes == {"corrected": 1, "failed": 1}
    world.feed(outcome(failing("else"), OutcomeResult.CORRECTED, command="c3")).wait(2)
    assert sum(world.only().outcomes.values()) == 2
    world.feed(closed(one), closed(other)).wait(QUIET_SECONDS + 2)
    world.feed(outcome(one, OutcomeResult.CORRECTED, revision=3), every_ms=3_000_000)
    assert world.only().outcomes == {"corrected": 1, "failed": 1}
    world.feed(None, every_ms=3_700_000)
    assert not [key for key in world.cells if key.startswith(("command/", "symptom/"))]


def test_an_incident_of_a_whole_fleet_stays_a_record_that_kafka_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "MAX_NAMED", 2)
    world = World().feed(*(one for site in ("x", "y", "z") for one in at_site(site, 400)), every_ms=0)
    clusters = [name for site in ("x", "y", "z") for name in names(site, 400)]
    world.feed(*(failing(name, message="m" * 5_000) for name in clusters), every_ms=1).wait(3)
    one = world.only()
    assert (one.blast_radius.clusters, len(one.members), one.members_omitted) == (1_200, 200, 1_000)
    assert one.blast_radius.clusters_by_site == {"x": 400, "y": 400, "other": 400}
    assert len(one.model_dump_json(exclude_none=True)) < 300_000
    assert len(world.told) < 6
    assert max(len(cell.marks) for key, cell in world.cells.items() if key.startswith("shard/")) < 60


def test_incidents_open_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "MAX_OPEN", 2)
    revisions = [GitCommit(revision=f"main@sha1:{number}") for number in range(3)]
    world = World().feed(*(failing(f"{c}{r.revision}", attempted=r) for r in revisions for c in "ab"))
    assert (len(world.open()), world.passed_over) == (2, {"too-many-incidents": 1})
    world.feed(*(closed(failing(f"{c}{revisions[0].revision}")) for c in "ab")).wait(QUIET_SECONDS + 2)
    world.feed(failing("c", attempted=revisions[2]))
    assert {one.cause.name for one in world.open()} == {"main@sha1:1", "main@sha1:2"}


def _unsigned(fact_type: str, _data: object) -> None:
    raise SignatureRefused("unsigned", fact_type)


def test_what_cannot_be_believed_or_read_is_refused() -> None:
    world = World()
    step = IncidentsStep(_unsigned)
    torn = failing("a").model_copy(update={"data": {"kind": "failing", "revision": "x"}})
    events = [world.record(one) for one in (policy(enabled=False), torn, failing("a"), failing("b"))]
    result = step.process({}, Batch(0, 1, events))
    assert [one.reason for one in result.refused] == ["unsigned", "invalid-fact"]
    assert len(result.facts) == 1


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(failing("a").model_copy(update={"type": VERDICT.name}), id="verdict"),
        pytest.param(failing("a").model_copy(update={"data": {"kind": "changed"}}), id="changed"),
        pytest.param(health("a", "healthy"), id="healthy"),
        pytest.param(closed(failing("a")), id="closed-before-it-was-seen"),
        pytest.param("f1", id="tombstone-of-what-nobody-knows"),
        pytest.param(None, id="tick"),
    ],
)
def test_what_is_no_symptom_leaves_nothing(event: CloudEvent | str | None) -> None:
    world = World().feed(event)
    assert {key for key in world.cells if not key.startswith("cluster/")} == {"clock"}
    assert (world.told, world.refused) == ([], [])


def test_a_policy_of_another_name_is_not_in_force() -> None:
    other = policy(enabled=False)
    world = World().feed(other.model_copy(update={"data": {**other.data, "name": "trial"}}), failing("a"), failing("b"))
    assert len(world.open()) == 1


def test_clusters_that_move_count_at_their_new_site() -> None:
    world = World().feed(*at_site("x", 6), *(inventory(name, site="y") for name in names("x", 4)))
    assert {key: cell.clusters for key, cell in world.cells.items() if key.startswith("site/")} == {
        "site/x": 2,
        "site/y": 4,
    }


def _story(seed: int) -> list[CloudEvent | str | None]:
    """What happens to some clusters, each in its own order, the clusters among each other in any."""
    dice = random.Random(seed)
    stories: list[list[Any]] = []
    for number, name in enumerate(names("c", 12)):
        story: list[Any] = [inventory(name, site=f"s{number % 3}")]
        for revision in range(dice.randint(1, 4)):
            attempted = GitCommit(revision=dice.choice((BAD, GOOD)), author=dice.choice((None, "eve")))
            story.append(failing(name, attempted=attempted, revision=2 * revision + 1))
            story.append(dice.choice((closed(failing(name), 2 * revision + 2), behind(name, revision=revision + 1))))
            story.append(silent(name, 2 * revision + 1))
            story.append(dice.choice((None, health(name, "healthy", revision=2 * revision + 2))))
        story += dice.choice(([], [name], [f"cluster/{name}"]))
        stories.append(story)
    merged = []
    while any(stories):
        story = dice.choice([one for one in stories if one])
        merged.append(story.pop(0))
        merged += [merged[-1]] * (dice.random() < 0.2)
    return merged


def _inputs(seed: int) -> list[Any]:
    world, inputs = World(), []
    for event in _story(seed):
        world.now_ms += 400
        inputs.append(world.record(event))
    return inputs


@pytest.mark.parametrize("seed", range(12))
def test_how_records_are_cut_into_batches_decides_nothing(seed: int) -> None:
    inputs, dice = _inputs(seed), random.Random(seed)
    worlds = []
    for longest in (1, 7, len(inputs)):
        world, left = World(), list(inputs)
        while left:
            size = dice.randint(1, longest)
            world.absorb(IncidentsStep(trusted).process(world.cells, Batch(0, 1, left[:size])))
            left = left[size:]
        worlds.append((world.cells, world.told, world.ids))
    assert worlds[0] == worlds[1] == worlds[2]


@pytest.mark.parametrize("seed", range(12))
def test_counts_follow_from_the_symptoms_that_last(seed: int) -> None:
    world = World()
    for event in _story(seed):
        world.feed(event, every_ms=400)
        lasting = {key.removeprefix("symptom/"): c for key, c in world.cells.items() if _lasts(key, c)}
        groups = {key.removeprefix("group/"): c for key, c in world.cells.items() if key.startswith("group/")}
        for cause, group in groups.items():
            mine = [c for c in lasting.values() if cause in [place.key for place in c.places]]
            assert group.members == len({c.member for c in mine})
            assert group.clusters == len({c.cluster for c in mine})
        assert {place.key for c in lasting.values() for place in c.places} <= set(groups)
        assert set(world.cells["clock"].open) == {key for key, group in groups.items() if group.incident}
    assert not world.refused


def _lasts(key: str, cell: Any) -> bool:
    return key.startswith("symptom/") and not cell.until_ms

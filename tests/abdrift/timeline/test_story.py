"""A cluster's line of time, made of facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from abdrift.partitions import FLEET_SCOPE
from abdrift.timeline import Entry, Head, Story, Told
from abdrift.timeline.entries import short, took
from abdrift.topics import (
    BREAKER,
    FACT_TYPES,
    FLEET_COMMANDS,
    FLEET_DECISIONS,
    HEALTH,
    INCIDENT,
    OUTCOME,
)
from tests.contract.examples import full, minimal
from tests.streams.governor.world import START_MS, World, acting, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from abdrift.cloudevents import CloudEvent

BAD = "main@sha1:" + "b" * 40
URL, REF = "https://git.example/fleet.git", "refs/heads/main"
COMMIT = {"revision": BAD, "author": "Kari", "message": "Raise the limit"}
MINUTE_MS = 60_000


def told(event: CloudEvent, append_ms: int = START_MS) -> Told:
    return Told(event.model_dump(mode="json"), append_ms)


def story_of(*events: CloudEvent) -> Story:
    """Return the story of edge-1, each event taken a second after the one before."""
    story = Story("edge-1")
    facts = [told(event, START_MS + number * 1_000) for number, event in enumerate(events)]
    story.learn(facts)
    for each in facts:
        story.take(each)
    assert story.unreadable == 0
    return story


def brief(entries: list[Entry]) -> list[str]:
    return [f"{entry.kind} {entry.what}: {entry.text}" for entry in entries]


def health(world: World, scope: str, status: str, **given: Any) -> CloudEvent:
    name = f"{scope}/edge-1" if scope == "cluster" else f"{scope}/edge-1/app"
    why = [] if status == "healthy" else [{"code": "X", "message": f"why {status}", "status": status}]
    data = {**world.silence("edge-1").data, "scope": scope, "name": "app", "status": status, "reasons": why, **given}
    return world.event(HEALTH, name, data, "edge-1")


def breaker(world: World, *, is_open: bool) -> CloudEvent:
    data = {"revision": 1, "open": is_open, "since": stamp(START_MS), "reasons": [{"code": "x", "message": "a surge"}]}
    return world.event(BREAKER, "governor", data, None)


def incident(world: World, state: str, **given: Any) -> CloudEvent:
    data: Mapping[str, Any] = full(INCIDENT.model).model_dump(mode="json", exclude_none=True)
    member = {**data["members"][0], "cluster": {"name": "edge-1"}, "finding_ids": ["f1"], "since": stamp(START_MS)}
    mine = {"incident_id": "i1", "state": state, "title": f"{BAD} fails in 80 clusters", "members": [member]}
    cause = {"kind": "git-revision", "name": BAD, "commit": COMMIT}
    times = {"opened_at": stamp(START_MS), "closed_at": stamp(START_MS + MINUTE_MS), "closed_because": "recovered"}
    return world.event(INCIDENT, "i1", {**data, **mine, "cause": cause, **times, **given}, None)


TELLINGS: dict[str, tuple[Callable[[World], list[CloudEvent]], list[str]]] = {
    "first-sight-of-an-owner": (lambda w: [w.verdict()], []),
    "a-revision-fetched-and-applied": (
        lambda w: [w.verdict(), w.verdict(revision=2, artifact_revision=BAD, applied_revision=BAD)],
        [
            "git fetched: the source of Kustomization flux-system/apps fetched main@bbbbbbb",
            "git applied: Kustomization flux-system/apps applied main@bbbbbbb",
        ],
    ),
    "nothing-known-any-more": (
        lambda w: [w.verdict(), w.verdict(revision=2, verdict="unknown", reasons=["silent"])],
        ["evidence unknown: it is not known any more whether Kustomization flux-system/apps is on course: silent"],
    ),
    "a-finding": (
        lambda w: [w.finding(), w.finding(revision=2, message="more"), w.closing(revision=3, closed_because="gone")],
        [
            "drift found: Deployment web/of-f1 changed: drifted",
            "drift changed: now: Deployment web/of-f1 changed: more",
            "drift closed: Deployment web/of-f1: changed is over: gone",
        ],
    ),
    "a-finding-of-which-only-the-end-is-left": (
        lambda w: [w.closing(times={"opened_at": stamp(START_MS), "closed_at": stamp(START_MS + 90_000)})],
        [
            "drift found: Deployment web/of-f1 changed: drifted",
            "drift closed: Deployment web/of-f1: changed is over after 90 s: over",
        ],
    ),
    "a-finding-told-twice": (
        lambda w: [w.finding(), w.finding()],
        ["drift found: Deployment web/of-f1 changed: drifted"],
    ),
    "a-finding-with-other-evidence": (
        lambda w: [w.finding(), w.finding(revision=2)],
        ["drift found: Deployment web/of-f1 changed: drifted"],
    ),
    "another-cluster": (lambda w: [w.finding(cluster="edge-2"), w.verdict("edge-2")], []),
    "health": (
        lambda w: [health(w, "cluster", "healthy"), health(w, "cluster", "healthy"), health(w, "cluster", "failing")],
        ["health healthy: cluster edge-1 is healthy", "health failing: cluster edge-1 is failing: why failing"],
    ),
    "a-workload-that-was-never-ill": (lambda w: [health(w, "workload", "healthy")], []),
    "a-workload-that-recovers": (
        lambda w: [health(w, "workload", "degraded"), health(w, "workload", "healthy")],
        ["health degraded: workload app is degraded: why degraded", "health healthy: workload app is healthy"],
    ),
    "a-namespace": (lambda w: [health(w, "namespace", "failing")], []),
    "a-hold": (
        lambda w: [w.finding(), w.event(FACT_TYPES["dev.abdrift.fleet.approval.v1"], "f1", _hold(), "edge-1")],
        [
            "drift found: Deployment web/of-f1 changed: drifted",
            "person hold: kari held Deployment web/of-f1 until 2027-01-15T10:00:00.000Z: hotfix",
        ],
    ),
    "a-freeze": (lambda w: [w.word("freeze", FLEET_SCOPE)], ["person freeze: kari froze the fleet: because"]),
    "a-word-about-another-cluster": (lambda w: [w.word("freeze", "cluster/edge-2")], []),
    "the-breaker": (
        lambda w: [breaker(w, is_open=False), breaker(w, is_open=True), breaker(w, is_open=False)],
        [
            "governor stopped: nothing is commanded anywhere: a surge",
            "governor resumed: the governor may act again",
        ],
    ),
    "an-incident": (
        lambda w: [incident(w, "open"), incident(w, "open", title="81 clusters"), incident(w, "closed")],
        [
            "incident opened: main@bbbbbbb fails in 80 clusters",
            "incident closed: incident over: recovered (main@bbbbbbb fails in 80 clusters)",
        ],
    ),
    "an-incident-of-others": (lambda w: [incident(w, "open", members=[])], []),
    "an-incident-with-more-members-than-it-lists": (
        lambda w: [
            w.finding(kind="failing", desired=COMMIT, message="does not apply"),
            incident(w, "open", members=[], members_omitted=9),
        ],
        [
            "drift found: Deployment web/of-f1 failing: does not apply",
            "incident opened: main@bbbbbbb fails in 80 clusters",
        ],
    ),
}


def _hold() -> dict[str, Any]:
    said = World().word("hold", "f1", until="2027-01-15T10:00:00.000Z").data
    return {**said, "reason": "hotfix"}


@pytest.mark.parametrize(("made", "expected"), TELLINGS.values(), ids=TELLINGS)
def test_a_fact_is_told_once_and_in_words(made: Callable[[World], list[CloudEvent]], expected: list[str]) -> None:
    world = World()
    entries = story_of(*made(world)).told
    assert brief(entries) == expected


def test_what_was_decided_commanded_and_came_of_it_is_told_in_order_of_time() -> None:
    world = acting(rule={"mode": "approve"})
    found = world.finding()
    world.tell(found)
    decided = [fact.event for fact in world.said if fact.topic is FLEET_DECISIONS and fact.event]
    done = acting()
    done.tell(found)
    sent = [fact.event for fact in done.said if fact.topic is FLEET_COMMANDS and fact.event]
    command = done.commands[0]
    data = {
        **done.outcome(command).data,
        "issued_at": stamp(START_MS),
        "patched_at": stamp(START_MS + 100),
        "corrected_at": stamp(START_MS + 1_200),
        "finished_at": stamp(START_MS + 1_200),
        "carried_out_by": "edge-1/sink",
    }
    ended = done.event(OUTCOME, command.command_id, data, "edge-1")
    story = story_of(found, *decided, *sent, ended)
    assert brief(story.entries()) == [
        "drift found: Deployment web/of-f1 changed: drifted",
        (
            "governor awaiting-approval: waits for a person: reconcile of Kustomization flux-system/apps: "
            "rule 'act' asks for a person's approval"
        ),
        "command commanded: reconcile of Kustomization flux-system/apps for Deployment web/of-f1",
        "outcome corrected: corrected in 1.2 s: reconcile of Kustomization flux-system/apps",
    ]
    last = story.entries()[-1]
    assert last.details == ("patched after 0.1 s, seen corrected after 1.2 s", "carried out by edge-1/sink")
    assert {entry.command_id for entry in story.about("f1")} == {None, command.command_id}


def test_a_change_stands_when_it_was_made_and_not_when_it_was_noticed() -> None:
    world = World()
    times = {"changed_at": stamp(START_MS - 5_000), "opened_at": stamp(START_MS)}
    (entry,) = story_of(world.finding(times=times)).told
    assert (entry.at_ms, entry.details[0]) == (START_MS - 5_000, "noticed 5.0 s later")
    late = {"changed_at": stamp(START_MS + 60_000), "opened_at": stamp(START_MS)}
    (entry,) = story_of(world.finding(times=late)).told
    assert entry.at_ms == START_MS, "its clock is ahead"


def test_a_commit_is_named_wherever_it_becomes_known() -> None:
    world = World()
    events = [
        world.verdict(),
        world.verdict(revision=2, applied_revision=BAD),
        world.finding(kind="failing", desired=COMMIT),
    ]
    assert (
        story_of(*events).told[0].text
        == "Kustomization flux-system/apps applied main@bbbbbbb “Raise the limit” by Kari"
    )


def test_a_remote_s_move_is_told_to_those_who_follow_it() -> None:
    story, first = Story("edge-1"), moved_to("a", START_MS - MINUTE_MS, START_MS)
    assert story.take_head(first) == [], "it is not known to follow it"
    story.take(told(World().inventory(git_sources=[{"url": URL, "ref": REF}])))
    assert brief(story.take_head(first)) == ["git moved: Git is at main@aaaaaaa"]
    assert story.take_head(first) == [], "it is where it was"
    assert brief(story.take_head(Head(URL, REF, COMMIT, START_MS))) == [
        "git moved: Git moved to main@bbbbbbb “Raise the limit” by Kari"
    ]


MOVES = {
    "committed-since": (START_MS + 1_000, START_MS + 1_000, ()),
    "committed-long-before-it-was-pushed": (
        START_MS - MINUTE_MS,
        START_MS + 2_000,
        ("committed 62 s before it was seen",),
    ),
    "by-a-clock-ahead": (START_MS + MINUTE_MS, START_MS + 2_000, ("committed 0.0 s before it was seen",)),
}


@pytest.mark.parametrize(("committed_ms", "at_ms", "details"), MOVES.values(), ids=MOVES)
def test_a_move_stands_when_it_was_committed_where_that_can_be(
    committed_ms: int, at_ms: int, details: tuple[str, ...]
) -> None:
    story = Story("edge-1")
    story.take(told(World().inventory(git_sources=[{"url": URL, "ref": REF}])))
    (first,) = story.take_head(moved_to("a", START_MS - MINUTE_MS, START_MS))
    assert first.at_ms == START_MS - MINUTE_MS
    (moved,) = story.take_head(moved_to("b", committed_ms, START_MS + 2_000))
    assert (moved.at_ms, moved.details[1:]) == (at_ms, details)


def moved_to(digit: str, committed_ms: int, append_ms: int) -> Head:
    return Head(URL, REF, {"revision": f"main@sha1:{digit * 40}", "time": stamp(committed_ms)}, append_ms)


def test_that_a_command_was_accepted_is_told_until_it_is_known_what_came_of_it() -> None:
    world = acting()
    world.tell(world.finding())
    command = world.commands[0]
    accepted, corrected = world.outcome(command, "accepted", revision=1), world.outcome(command)
    assert [entry.what for entry in story_of(accepted).entries()] == ["accepted"]
    assert [entry.what for entry in story_of(accepted, corrected).entries()] == ["corrected"]
    assert [entry.what for entry in story_of(accepted, corrected).told] == ["accepted", "corrected"], "as it came"


LASTING = {
    "open-finding": (lambda w: [w.finding()], 1),
    "closed-finding": (lambda w: [w.finding(), w.closing()], 0),
    "open-incident": (lambda w: [incident(w, "open")], 1),
    "closed-incident": (lambda w: [incident(w, "closed")], 0),
    "ill-cluster": (lambda w: [health(w, "cluster", "failing")], 1),
    "recovered-cluster": (lambda w: [health(w, "cluster", "failing"), health(w, "cluster", "healthy")], 0),
}


@pytest.mark.parametrize(("made", "count"), LASTING.values(), ids=LASTING)
def test_what_is_older_is_told_only_while_it_lasts(made: Callable[[World], list[CloudEvent]], count: int) -> None:
    assert len(story_of(*made(World())).entries(START_MS + 10 * MINUTE_MS)) == count


@pytest.mark.parametrize("name", FACT_TYPES)
def test_every_fact_of_the_contract_is_taken_in(name: str) -> None:
    fact = FACT_TYPES[name]
    for example in (minimal(fact.model), full(fact.model)):
        event = World().event(fact, "subject", example.model_dump(mode="json", exclude_none=True), "edge-1")
        for entry in story_of(event).told:
            assert entry.facts()["text"]


@pytest.mark.parametrize("data", [None, [], {}, {"revision": "x", "scope": 1, "state": None}])
def test_what_is_no_fact_is_counted(data: Any) -> None:
    story = Story("edge-1")
    for name in FACT_TYPES:
        story.learn([Told({"type": name, "subject": "x", "data": data}, START_MS)])
        story.take(Told({"type": name, "subject": "x", "data": data}, START_MS))
    assert story.unreadable >= 8
    assert story.told == []


SPANS = {0: "0.0 s", 1_234: "1.2 s", 59_000: "59 s", 120_000: "2 min", 7_200_000: "2 h", 400_000_000: "5 d"}


@pytest.mark.parametrize(("milliseconds", "said"), SPANS.items())
def test_a_span_is_said_in_the_unit_that_reads_best(milliseconds: int, said: str) -> None:
    assert took(milliseconds) == said


def test_hashes_are_cut() -> None:
    assert short(f"at {BAD}, not at sha256:{'c' * 64}") == "at main@bbbbbbb, not at ccccccc"

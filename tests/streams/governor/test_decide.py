"""What becomes of one finding, or of one owner's findings, by table."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from abdrift.cloudevents import CloudEvent
from abdrift.signing import Trust
from tests.streams.governor.world import ACT, GOVERNOR, HELM, OWNER, START_MS, World, acting, brief, evidence, stamp

APPROVE = {"mode": "approve"}
OWNER_SUBJECT = "owner/edge-1/Kustomization/flux-system/apps"
AWAITING_VERB = "awaiting-approval: verb-needs-approval"
SUSPENDED = {"kind": "suspended", "object": OWNER, "fields": []}
ALERT = {"kind": "alert", "fields": [], "reconcile_corrects": "unknown"}

CHOICES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    # a case is a rule, a finding, and what is decided
    "changed": ({}, {}, "commanded: allowed"),
    "deleted": ({}, {"kind": "deleted"}, "commanded: allowed"),
    "would-not-correct": ({}, {"reconcile_corrects": "no"}, "refused: reconcile-would-not-correct"),
    "correction-unknown": ({}, {"reconcile_corrects": "unknown"}, "refused: correction-unknown"),
    "orphaned": ({}, {"kind": "orphaned", "owner": None}, "observed: orphaned"),
    "without-owner": ({}, {"owner": None}, "observed: no-owner"),
    "behind": ({}, {"kind": "behind"}, AWAITING_VERB),
    "suspended": ({}, SUSPENDED, AWAITING_VERB),
    "suspended-by-annotation": ({}, {"kind": "suspended"}, "refused: suspended-by-annotation"),
    "failing-unlisted": ({}, {"kind": "failing"}, "observed: failing-not-listed"),
    "failing-listed": ({"kinds": ["failing"]}, {"kind": "failing"}, "commanded: allowed"),
    "alert-unlisted": ({}, ALERT, "observed: alert-not-listed"),
    "alert-listed": ({"kinds": ["alert"]}, ALERT, "commanded: allowed"),
    "alert-that-a-reconcile-leaves": (
        {"kinds": ["alert"]},
        {**ALERT, "reconcile_corrects": "no"},
        "refused: reconcile-would-not-correct",
    ),
    "alert-about-what-nobody-owns": ({"kinds": ["alert"]}, {**ALERT, "owner": None}, "observed: no-owner"),
    "alert-held": (
        {"kinds": ["alert"]},
        {**ALERT, "held_until": stamp(START_MS + 60_000)},
        "refused: held",
    ),
    "alert-contested": ({"kinds": ["alert"]}, {**ALERT, "contested": True}, "refused: contested"),
    "verb-not-allowed": ({"verbs": ["refresh"]}, {}, "refused: verb-not-allowed"),
    "mode-observe": ({"mode": "observe"}, {}, "observed: observe"),
    "mode-approve": (APPROVE, {}, "awaiting-approval: mode-approve"),
    "other-namespace": ({"namespaces": ["db"]}, {}, "observed: no-rule"),
    "same-namespace": ({"namespaces": ["web"]}, {}, "commanded: allowed"),
    "other-owner-kind": ({"owner_kinds": ["HelmRelease"]}, {}, "observed: no-rule"),
    "other-kind": ({"kinds": ["deleted"]}, {}, "observed: no-rule"),
    "other-cluster": ({"clusters": {"match_labels": {"site": "bergen"}}}, {}, "observed: no-rule"),
    "same-cluster": ({"clusters": {"match_labels": {"site": "oslo"}}}, {}, "commanded: allowed"),
    "contested": ({}, {"contested": True}, "refused: contested"),
    "held-by-annotation": ({}, {"held_until": stamp(START_MS + 60_000)}, "refused: held"),
    "hold-over": ({}, {"held_until": stamp(START_MS)}, "commanded: allowed"),
    "suspect": ({}, {"certainty": "suspect"}, "refused: first-sight"),
    "other-uid": ({}, {"cluster_uid": "another"}, "refused: cluster-uid-mismatch"),
    "grace": ({"grace_seconds": 60}, {}, "deferred: grace"),
}


@pytest.mark.parametrize(("rule", "finding", "decision"), CHOICES.values(), ids=CHOICES)
def test_a_finding_is_decided_by_its_kind_and_rule(
    rule: dict[str, Any], finding: dict[str, Any], decision: str
) -> None:
    world = acting(rule=rule)
    world.tell(world.finding(**finding))
    assert world.last == decision
    assert len(world.commands) == decision.startswith("commanded")
    assert not world.refused


VERDICTS: dict[str, tuple[dict[str, Any], str]] = {
    "first-sight": ({"unproven": 1}, "refused: first-sight"),
    "unknown": ({"verdict": "unknown", "reasons": ["discovery-failed"]}, "refused: verdict-unknown"),
    "drifted-but-unsure": ({"reasons": ["changed", "objects-unknown"]}, "refused: verdict-unknown"),
    "drifted-and-missing": ({"reasons": ["changed", "objects-missing", "reconciling"]}, "commanded: allowed"),
    "unknown-unsaid": ({"verdict": "unknown"}, "refused: verdict-unknown"),
    "mass-deletion": ({"verdict": "unknown", "reasons": ["mass-deletion"]}, "refused: mass-deletion verdict-unknown"),
    "held": ({"held_until": stamp(START_MS + 60_000)}, "refused: held"),
    "gap": ({"evidence": evidence(START_MS, complete=False)}, "refused: evidence-incomplete"),
    "suspended": ({"suspended": True}, "refused: owner-suspended"),
    "new-artifact": ({"artifact_revision": "main@sha1:bbb"}, "refused: artifact-not-applied"),
    "no-artifact": ({"artifact_revision": None}, "refused: artifact-unknown"),
    "all-at-once": (
        {"unproven": 1, "suspended": True, "artifact_revision": "main@sha1:bbb"},
        "refused: first-sight owner-suspended artifact-not-applied",
    ),
}


@pytest.mark.parametrize(("verdict", "decision"), VERDICTS.values(), ids=VERDICTS)
def test_a_verdict_decides_about_its_findings(verdict: dict[str, Any], decision: str) -> None:
    world = acting()
    world.tell(world.verdict(revision=2, **verdict), world.finding())
    assert world.last == decision
    assert len(world.commands) == decision.startswith("commanded")


def _events(*names: str) -> Callable[[World], list[CloudEvent]]:
    return lambda w: [getattr(w, name)() for name in names]


CONTEXTS: dict[str, tuple[Callable[[World], Iterable[CloudEvent]], str]] = {
    "no-policy": (_events("inventory", "verdict", "finding"), "observed: no-policy"),
    "unknown-cluster": (lambda w: [w.policy(ACT), w.verdict(), w.finding()], "refused: cluster-unknown"),
    "unknown-cluster-observed": (lambda w: [w.policy(), w.verdict(), w.finding()], "observed: observe"),
    "no-uid": (
        lambda w: [w.policy(ACT), w.inventory(uid=None), w.verdict(), w.finding()],
        "refused: cluster-uid-unknown",
    ),
    "no-verdict": (lambda w: [w.policy(ACT), w.inventory(), w.finding()], "refused: first-sight"),
    "silent": (
        lambda w: [w.policy(ACT), w.inventory(), w.silence(), w.verdict(), w.finding()],
        "refused: cluster-silent",
    ),
    "sick-but-heard": (
        lambda w: [w.policy(ACT), w.inventory(), w.silence(code="NotReady"), w.verdict(), w.finding()],
        "commanded: allowed",
    ),
    "finding-unsynced": (
        lambda w: [w.policy(ACT), w.inventory(), w.verdict(), w.finding(evidence=evidence(START_MS, complete=False))],
        "refused: evidence-incomplete",
    ),
    "held-by-word": (
        lambda w: [
            w.policy(ACT),
            w.inventory(),
            w.verdict(),
            w.word("hold", "cluster/edge-1", until=stamp(START_MS + 60_000)),
            w.finding(),
        ],
        "refused: held",
    ),
    "cluster-frozen": (
        lambda w: [w.policy(ACT), w.inventory(), w.verdict(), w.word("freeze", "cluster/edge-1"), w.finding()],
        "refused: frozen",
    ),
    "another-cluster-frozen": (
        lambda w: [w.policy(ACT), w.inventory(), w.verdict(), w.word("freeze", "cluster/edge-2"), w.finding()],
        "commanded: allowed",
    ),
}


@pytest.mark.parametrize(("events", "decision"), CONTEXTS.values(), ids=CONTEXTS)
def test_what_is_known_around_a_finding_decides(events: Callable[[World], Iterable[CloudEvent]], decision: str) -> None:
    world = World()
    world.tell(*events(world))
    assert world.last == decision


TOGETHER: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    # id: (findings of the owner before one that alone would be commanded, the decisions)
    "held-beside": ([{"held_until": stamp(START_MS + 60_000)}], ["refused: held", "refused: held"]),
    "contested-beside": ([{"contested": True}], ["refused: contested", "refused: contested"]),
    "suspect-beside": ([{"certainty": "suspect"}], ["refused: first-sight", "refused: first-sight"]),
    "left-alone-beside": (
        [{"reconcile_corrects": "no"}],
        ["refused: reconcile-would-not-correct", "commanded: allowed"],
    ),
    "unknown-beside": ([{"reconcile_corrects": "unknown"}], ["refused: correction-unknown"] * 2),
    "observed-beside": (
        [{"object": {"kind": "ConfigMap", "namespace": "db", "name": "x"}}],
        ["observed: observe", "refused: affects-observed"],
    ),
}


@pytest.mark.parametrize(("others", "decisions"), TOGETHER.values(), ids=TOGETHER)
def test_a_command_to_an_owner_answers_for_all_its_findings(others: list[dict[str, Any]], decisions: list[str]) -> None:
    world = World()
    world.tell(world.policy({"name": "db", "namespaces": ["db"]}, ACT), world.inventory(), world.verdict())
    for number, other in enumerate(others):
        world.tell(world.finding(f"e{number}", **other))
    world.tell(world.finding("f1"))
    assert [brief(d) for d in world.decisions] == decisions


def test_verbs_of_one_owner_wait_for_each_other() -> None:
    world = acting()
    world.tell(world.finding("e1", kind="behind"), world.finding("f1"))
    world.tell(world.word("approve", OWNER_SUBJECT, verb="reconcile-with-source"))
    assert [c.verb for c in world.commands] == ["reconcile"]
    assert world.last == "deferred: in-flight"
    world.tell(world.outcome(world.commands[0]))
    assert [c.verb for c in world.commands] == ["reconcile", "reconcile-with-source"]


def test_a_command_names_everything_it_affects() -> None:
    world = acting(rule={"grace_seconds": 5})
    world.tell(world.finding("f1"), world.finding("f2", kind="deleted", fields=[]))
    world.wait(6)
    (command,) = world.commands
    assert command.finding_ids == ("f1", "f2")
    assert [(e.object.name, e.paths, e.effect) for e in command.expected_effects] == [
        ("of-f1", ("/spec/replicas",), "restore-fields"),
        ("of-f2", (), "recreate-object"),
    ]
    assert command.expected_revision == "main@sha1:aaa"
    assert (command.cluster.name, command.cluster.uid) == ("edge-1", "uid")
    assert command.target.model_dump(exclude_none=True) == OWNER
    assert (command.policy, command.attempt, command.fencing) == ("default@1", 1, 1)
    assert (command.expires_at - command.issued_at).total_seconds() == 300


def test_a_command_for_an_alert_names_what_it_would_undo() -> None:
    world = acting(rule={"kinds": ["alert", "changed"], "grace_seconds": 5})
    world.tell(world.finding("f1"), world.finding("a1", kind="alert", fields=[], reconcile_corrects="yes"))
    world.wait(6)
    (command,) = world.commands
    assert [(e.finding_id, e.effect) for e in command.expected_effects] == [
        ("a1", "resolve-alert"),
        ("f1", "restore-fields"),
    ]


def test_a_command_for_drift_does_not_wait_for_an_alert_that_no_rule_lists() -> None:
    world = acting(rule={"grace_seconds": 5})
    world.tell(world.finding("a1", kind="alert", fields=[], reconcile_corrects="unknown"), world.finding("f1"))
    world.wait(6)
    assert [command.finding_ids for command in world.commands] == [("f1",)]


def test_a_finding_with_very_many_paths_is_about_the_whole_object() -> None:
    world = acting()
    world.tell(world.finding(fields=[{"path": f"/spec/{n}", "op": "add"} for n in range(17)]))
    assert world.commands[0].expected_effects[0].paths == ()


def test_a_command_is_signed_over_what_is_published() -> None:
    world = acting()
    world.tell(world.finding())
    published = next(f.event for f in world.said if f.event and "command" in f.event.type)
    Trust({GOVERNOR.key_id: GOVERNOR.private.public_key()}).verify(published.type, published.data)
    assert published.subject == published.data["command_id"]
    assert published.cluster == "edge-1"


HELM_REASONS: dict[str, tuple[dict[str, Any], str]] = {
    "no-detection": (
        {"reconcile_corrects": "no", "reconcile_corrects_reason": "mode is disabled: only a forced upgrade corrects"},
        AWAITING_VERB,
    ),
    "only-warned-of": (
        {
            "reconcile_corrects": "no",
            "reconcile_corrects_reason": "mode is warn: it is reported, and even a forced upgrade leaves it",
        },
        "refused: reconcile-would-not-correct",
    ),
    "opted-out": (
        {"reconcile_corrects": "no", "reconcile_corrects_reason": "ignored by spec.ignore"},
        "refused: reconcile-would-not-correct",
    ),
    "detection": ({}, "commanded: allowed"),
}


@pytest.mark.parametrize(("finding", "decision"), HELM_REASONS.values(), ids=HELM_REASONS)
def test_a_release_without_drift_detection_needs_force(finding: dict[str, Any], decision: str) -> None:
    world = acting()
    world.tell(world.verdict(owner=HELM), world.finding(owner=HELM, **finding))
    assert world.last == decision


def test_a_suspended_owner_can_be_resumed_by_approval_alone() -> None:
    world = acting()
    world.tell(
        world.verdict(revision=2, suspended=True, unproven=3, verdict="unknown"),
        world.finding(**SUSPENDED),
        world.word("approve", OWNER_SUBJECT, verb="resume"),
    )
    assert [c.verb for c in world.commands] == ["resume"]


def test_a_source_fetched_by_approval_names_the_desired_commit() -> None:
    world = acting()
    world.tell(
        world.verdict(revision=2, artifact_revision="main@sha1:bbb"),
        world.finding(kind="behind", desired={"revision": "main@sha1:ccc"}),
        world.word("approve", "f1", verb="reconcile-with-source"),
    )
    assert [(c.verb, c.expected_revision) for c in world.commands] == [("reconcile-with-source", "main@sha1:ccc")]


LATE: dict[str, tuple[dict[str, Any], str]] = {
    "restoring": ({"restoring": True}, "deferred: restoring"),
    "lagging": ({"lag_ms": 30_001}, "deferred: lagging"),
    "both": ({"restoring": True, "lag_ms": 30_001}, "deferred: restoring lagging"),
}


@pytest.mark.parametrize(("late", "decision"), LATE.values(), ids=LATE)
def test_nothing_is_commanded_before_the_present_is_reached(late: dict[str, Any], decision: str) -> None:
    world = acting()
    for name, value in late.items():
        setattr(world, name, value)
    world.tell(world.finding())
    world.wait(3)
    assert (world.last, world.commands) == (decision, [])
    world.restoring, world.lag_ms = False, 0
    world.wait(1)
    assert world.last == "commanded: allowed"


def test_stale_evidence_is_refused_until_the_cluster_is_vouched_for() -> None:
    world = acting(rule={"grace_seconds": 130})
    world.tell(world.finding())
    world.wait(131)
    assert (world.last, world.commands) == ("refused: stale-evidence", [])
    world.tell(world.inventory())
    world.wait(5)
    assert world.last == "commanded: allowed"


def test_grace_protects_the_newest_edit_and_its_end_is_told() -> None:
    world = acting(rule={"grace_seconds": 10})
    world.tell(world.finding("f1"))
    world.wait(6)
    world.tell(world.finding("f2"))
    assert world.decisions[0].retry_at is not None
    assert stamp(START_MS + 10_000) == world.decisions[0].model_dump(mode="json")["retry_at"]
    world.wait(9)
    assert not world.commands
    world.wait(1)
    assert world.commands[0].finding_ids == ("f1", "f2")


def test_a_finding_that_closes_within_grace_is_left_alone() -> None:
    world = acting(rule={"grace_seconds": 10})
    world.tell(world.finding())
    world.wait(5)
    world.tell(world.closing())
    world.wait(60)
    assert not world.commands


def test_a_decision_is_not_repeated_while_it_stands() -> None:
    world = acting(rule=APPROVE)
    world.tell(world.finding())
    world.wait(90)
    world.tell(world.verdict(revision=2), world.finding(revision=2))
    assert [brief(d) for d in world.decisions] == ["awaiting-approval: mode-approve"]


def test_a_refusal_names_only_those_to_whom_it_is_news() -> None:
    world = acting(rule={"mode": "observe"})
    world.tell(world.finding("f1"), world.finding("f2"), world.finding("f3"))
    assert [d.finding_ids for d in world.decisions] == [("f1",), ("f2",), ("f3",)]


def test_waiting_for_approval_names_all_that_the_command_would() -> None:
    world = acting(rule=APPROVE)
    world.tell(world.finding("f1"), world.finding("f2"))
    assert [d.finding_ids for d in world.decisions] == [("f1",), ("f1", "f2")]
    assert len({d.decision_id for d in world.decisions}) == 2


def test_a_policy_put_in_force_later_applies_to_what_is_open() -> None:
    world = World()
    world.tell(world.inventory(), world.verdict(), world.finding())
    world.wait(1)
    world.tell(world.policy(ACT))
    world.wait(1)
    assert [brief(d) for d in world.decisions] == ["observed: no-policy", "commanded: allowed"]


def test_more_findings_than_one_command_may_name_are_refused() -> None:
    world = acting(rule={"grace_seconds": 5})
    world.tell(*(world.finding(f"f{n:03}") for n in range(201)))
    world.wait(6)
    assert (world.last, world.commands) == ("refused: too-many-findings", [])

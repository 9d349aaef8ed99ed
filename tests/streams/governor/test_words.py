"""What people say: approvals, holds, freezes, policies, and what is not believed."""

from collections.abc import Callable
from typing import Any

import pytest

from abdrift.cloudevents import CloudEvent
from abdrift.topics import APPROVAL, POLICY
from streams.governor.cells import WordCell
from tests.streams.governor.world import ACT, OPERATOR, START_MS, STRANGER, World, acting, brief, stamp

OWNER_SUBJECT = "owner/edge-1/Kustomization/flux-system/apps"
APPROVE = {"mode": "approve"}
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def waiting(**rule: Any) -> World:
    """Return a world in which a finding waits for approval."""
    world = acting(rule={**APPROVE, **rule})
    world.tell(world.finding())
    return world


SUBJECTS: dict[str, Callable[[World], str]] = {
    "finding": lambda _: "f1",
    "owner": lambda _: OWNER_SUBJECT,
    "decision": lambda w: w.decisions[-1].decision_id,
}


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
def test_an_approval_of_any_subject_lets_one_command_go(subject: Callable[[World], str]) -> None:
    world = waiting()
    world.tell(world.word("approve", subject(world)))
    world.wait(1)
    (command,) = world.commands
    assert command.approval_id is not None
    world.tell(world.outcome(command, "failed"))
    world.wait(120)
    assert len(world.commands) == 1
    assert brief(world.decisions[-1]) == "awaiting-approval: mode-approve"


def test_a_failed_command_can_be_approved_again_by_its_id() -> None:
    world = waiting()
    world.tell(world.word("approve", "f1"))
    world.tell(world.outcome(world.commands[0], "failed"))
    world.tell(world.word("approve", world.commands[0].command_id))
    assert [c.attempt for c in world.commands] == [1, 2]


def test_each_finding_that_a_command_would_touch_needs_its_approval() -> None:
    world = acting(rule=APPROVE)
    world.tell(world.finding("f1"), world.finding("f2"), world.word("approve", "f1"))
    assert not world.commands
    world.tell(world.word("approve", "f2"))
    assert world.commands[0].finding_ids == ("f1", "f2")
    assert {c.used_by for c in world.cells.values() if isinstance(c, WordCell)} == {world.commands[0].command_id}


def test_an_approved_decision_does_not_cover_a_finding_that_came_later() -> None:
    world = waiting()
    decision_id = world.decisions[-1].decision_id
    world.tell(world.finding("f2"), world.word("approve", decision_id))
    world.wait(2)
    assert not world.commands


def test_an_approval_waives_grace() -> None:
    world = acting(rule={"grace_seconds": 600})
    world.tell(world.finding(), world.word("approve", "f1"))
    assert world.last == "commanded: allowed"


APPROVALS_WITHOUT_EFFECT: dict[str, dict[str, Any]] = {
    "another-verb": {"verb": "force"},
    "ended": {"until": stamp(START_MS)},
    "a-day-old": {"issued_at": stamp(START_MS - DAY_MS)},
    "from-the-future": {"issued_at": stamp(START_MS + HOUR_MS)},
    "unsigned": {"signer": None},
    "of-a-stranger": {"signer": STRANGER},
}


@pytest.mark.parametrize("word", APPROVALS_WITHOUT_EFFECT.values(), ids=APPROVALS_WITHOUT_EFFECT)
def test_an_approval_that_does_not_hold_lets_nothing_go(word: dict[str, Any]) -> None:
    world = waiting()
    world.tell(world.word("approve", "f1", **word))
    world.wait(2)
    assert not world.commands


def test_an_approval_without_verb_approves_no_drastic_one() -> None:
    world = acting()
    world.tell(world.finding(kind="behind"), world.word("approve", "f1"))
    assert world.last == "awaiting-approval: verb-needs-approval"
    world.tell(world.word("approve", world.decisions[-1].decision_id))
    world.wait(1)
    assert [c.verb for c in world.commands] == ["reconcile-with-source"]


def test_an_approval_ends() -> None:
    world = acting(rule=APPROVE)
    world.tell(world.word("approve", "f1", until=stamp(START_MS + 5_000)))
    world.wait(6)
    world.tell(world.finding())
    assert world.last == "awaiting-approval: mode-approve"


def _tampered(world: World) -> CloudEvent:
    event = world.word("approve", "f1")
    return event.model_copy(update={"data": {**event.data, "subject_id": "f2"}})


def _malformed(world: World) -> CloudEvent:
    data = OPERATOR.sign(APPROVAL.name, {"action": "hold"})
    return world.word("approve", "f1").model_copy(update={"data": data})


REFUSED: dict[str, tuple[Callable[[World], CloudEvent], str]] = {
    "unsigned-word": (lambda w: w.word("freeze", "fleet", signer=None), "refused: bad-signature"),
    "strangers-word": (lambda w: w.word("thaw", "fleet", signer=STRANGER), "refused: bad-signature"),
    "tampered-word": (_tampered, "refused: bad-signature"),
    "malformed-word": (_malformed, "refused: approval-invalid"),
    "frozen-finding": (lambda w: w.word("freeze", "f1"), "refused: approval-invalid"),
    "late-word": (lambda w: w.word("approve", "f1", until=stamp(w.now_ms - 1)), "refused: approval-expired"),
    "early-word": (lambda w: w.word("approve", "f1", issued_at=stamp(w.now_ms + HOUR_MS)), "refused: issued-in-future"),
    "unsigned-policy": (lambda w: w.policy(ACT, signer=None), "refused: bad-signature"),
    "strangers-policy": (lambda w: w.policy(ACT, signer=STRANGER), "refused: bad-signature"),
    "invalid-policy": (
        lambda w: w.policy().model_copy(
            update={"data": OPERATOR.sign(POLICY.name, {"rules": [{"name": "x", "mode": "yolo"}]})}
        ),
        "refused: policy-invalid",
    ),
}


@pytest.mark.parametrize(("event", "decision"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_believed_leaves_an_audit(event: Callable[[World], CloudEvent], decision: str) -> None:
    world = World()
    world.tell(event(world))
    assert world.last == decision
    assert set(world.cells) == {"fleet"}


def test_only_a_higher_revision_replaces_a_policy() -> None:
    world = acting()
    world.tell(
        world.policy({"name": "watch"}, revision=2), world.policy(ACT, revision=1), world.policy(ACT, revision=2)
    )
    world.tell(world.finding())
    assert world.last == "observed: observe"


def test_a_policy_of_another_name_is_not_in_force() -> None:
    world = acting()
    event = world.policy({"name": "watch"}, revision=9, name="night")
    world.tell(event, world.finding())
    assert world.last == "commanded: allowed"


@pytest.mark.parametrize("subject", ["f1", OWNER_SUBJECT, "cluster/edge-1", "fleet"])
def test_a_hold_protects_until_it_ends(subject: str) -> None:
    world = acting()
    world.tell(world.word("hold", subject, until=stamp(START_MS + 20_000)), world.finding())
    assert world.last == "refused: held"
    world.wait(19)
    assert not world.commands
    world.wait(15)
    assert len(world.commands) == 1


def test_a_release_lifts_a_hold() -> None:
    world = acting()
    world.tell(world.word("hold", OWNER_SUBJECT, until=stamp(START_MS + HOUR_MS)), world.finding())
    world.wait(1)
    world.tell(world.word("release", OWNER_SUBJECT))
    assert world.last == "commanded: allowed"


def test_an_approval_does_not_lift_a_hold() -> None:
    world = acting()
    world.tell(world.word("hold", "f1", until=stamp(START_MS + HOUR_MS)), world.finding(), world.word("approve", "f1"))
    assert world.last == "refused: held"


def test_a_freeze_stops_what_is_in_grace_and_a_thaw_lets_it_go() -> None:
    world = acting(rule={"grace_seconds": 10})
    world.tell(world.finding())
    world.wait(5)
    world.tell(world.word("freeze", "fleet"))
    assert [(b.open, b.frozen_by) for b in world.breakers] == [(True, "kari")]
    world.wait(60)
    assert (world.last, world.commands) == ("refused: frozen", [])
    world.tell(world.word("thaw", "fleet"))
    world.wait(1)
    assert [(b.open, b.frozen_by) for b in world.breakers] == [(True, "kari"), (False, None)]
    assert world.last == "commanded: allowed"


def test_a_thaw_of_one_cluster_leaves_the_fleet_frozen() -> None:
    world = acting()
    world.tell(world.word("freeze", "fleet"), world.word("freeze", "cluster/edge-1"))
    world.wait(1)
    world.tell(world.word("thaw", "cluster/edge-1"), world.finding())
    assert world.last == "refused: frozen"
    world.tell(world.word("thaw", "fleet"))
    world.wait(1)
    assert world.last == "commanded: allowed"


def test_a_freeze_may_end_by_itself() -> None:
    world = acting()
    world.tell(world.word("freeze", "cluster/edge-1", until=stamp(START_MS + 5_000)), world.finding())
    world.wait(31)
    assert world.last == "commanded: allowed"


def test_words_repeated_out_of_order_change_nothing() -> None:
    world = acting()
    freeze = world.word("freeze", "fleet")
    world.tell(freeze)
    world.wait(1)
    thaw = world.word("thaw", "fleet")
    world.tell(thaw, freeze, thaw)
    world.wait(1)
    again = world.word("freeze", "fleet")
    world.tell(again, thaw)
    world.tell(world.finding())
    assert world.last == "refused: frozen"
    assert len(world.breakers) == 3


def test_words_are_forgotten_a_day_after_they_end_but_no_standing_freeze() -> None:
    world = acting()
    world.tell(world.word("freeze", "cluster/edge-9"), world.word("hold", "f1", until=stamp(START_MS + 5_000)))
    world.now_ms += DAY_MS + HOUR_MS
    world.wait(61)
    assert [c.action for c in world.cells.values() if isinstance(c, WordCell)] == ["freeze"]

"""`abdrift command`: what is listed, and what people say reaches the governor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from abdrift.cli.command import standing
from abdrift.partitions import partition_of
from abdrift.topics import FLEET_APPROVALS, FLEET_DECISIONS, FLEET_DRIFT, FLEET_OUTCOMES
from streams.governor import GovernorStep
from tests.abdrift.cli.governed import PARTITIONS, Governed
from tests.streams.governor.world import GOVERNOR, World, acting

if TYPE_CHECKING:
    from pathlib import Path

    from abdrift.broker import EmbeddedBroker
    from abdrift.cloudevents import CloudEvent
    from streams.step import Outgoing

OWNER = "owner/edge-1/Kustomization/flux-system/apps"


def said(world: World) -> list[CloudEvent]:
    """Return the decisions as facts."""
    return [f.event for f in world.said if f.topic is FLEET_DECISIONS and f.event]


def results(events: list[CloudEvent]) -> list[tuple[Any, ...]]:
    return [(r.decision.result.value, r.decision.finding_ids, r.outcome, r.open_findings) for r in standing(events)]


def test_only_the_newest_decision_of_a_finding_stands() -> None:
    world = acting(rule={"mode": "approve"})
    first, second = world.finding("f1"), world.finding("f2")
    world.tell(first, second)
    assert results([first, second, *said(world)]) == [("awaiting-approval", ("f1", "f2"), None, 2)]


def test_a_command_stands_with_its_outcome() -> None:
    world = acting()
    finding = world.finding()
    world.tell(finding)
    outcome, closing = world.outcome(world.commands[0]), world.closing()
    events = [finding, *said(world), outcome, closing]
    assert results(events) == [("commanded", ("f1",), "corrected", 0)]


def test_a_refused_word_stands_by_itself() -> None:
    world = World()
    world.tell(world.word("freeze", "fleet", signer=None))
    assert results(said(world)) == [("refused", (), None, 0)]


@pytest.fixture(scope="module")
def governed(kafka: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Governed:
    """Topics with one finding that waits for approval, and one command that was carried out."""
    governed = Governed(kafka.bootstrap_servers, tmp_path_factory.mktemp("keys"))
    waiting = acting(rule={"mode": "approve"})
    finding = waiting.finding()
    waiting.tell(finding)
    done = World()
    done.tell(
        done.policy({"name": "act", "mode": "act", "grace_seconds": 0}),
        done.inventory("edge-2"),
        done.verdict("edge-2"),
    )
    done.tell(done.finding("f9", cluster="edge-2"))
    governed.write(FLEET_DRIFT, [finding])
    governed.write(FLEET_DECISIONS, [*said(waiting), *said(done)])
    governed.write(FLEET_OUTCOMES, [done.outcome(done.commands[0])])
    return governed


@pytest.mark.parts
def test_decisions_are_listed_by_state_and_cluster(governed: Governed) -> None:
    def listed(*arguments: str) -> list[tuple[str, str]]:
        rows: Any = governed.json("command", "list", *arguments)
        return sorted((r["cluster"]["name"], r["result"]) for r in rows if "cluster" in r)

    waits, done = ("edge-1", "awaiting-approval"), ("edge-2", "commanded")
    assert listed() == [waits, done]
    assert listed("--state", "awaiting") == [waits]
    assert listed("--state", "issued") == [done]
    assert listed("--state", "refused") == []
    assert listed("--cluster", "edge-2") == [done]
    assert "corrected" in governed.run("command", "list").stdout
    assert "Nothing to show" in governed.run("command", "list", "--state", "refused").stdout


WORDS: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "approve-finding": (["approve", "f1"], {"action": "approve", "subject_id": "f1", "cluster": "edge-1"}, "edge-1"),
    "approve-owner": (["approve", OWNER, "--verb", "force"], {"subject_id": OWNER, "verb": "force"}, "edge-1"),
    "hold-owner": (["hold", OWNER, "--until", "2h"], {"action": "hold", "subject_id": OWNER}, "edge-1"),
    "hold-finding": (["hold", "f1", "--until", "2h"], {"action": "hold", "subject_id": "f1"}, "edge-1"),
    "hold-fleet": (["hold", "fleet", "--until", "2h"], {"action": "hold", "subject_id": "fleet"}, "fleet"),
    "release-cluster": (["release", "cluster/edge-2"], {"action": "release", "subject_id": "cluster/edge-2"}, "edge-2"),
    "freeze-fleet": (["freeze"], {"action": "freeze", "subject_id": "fleet"}, "fleet"),
    "freeze-cluster": (["freeze", "--cluster", "edge-2"], {"subject_id": "cluster/edge-2"}, "edge-2"),
    "thaw-fleet": (["thaw"], {"action": "thaw", "subject_id": "fleet"}, "fleet"),
}


@pytest.mark.parts
@pytest.mark.parametrize(("line", "signed", "scope"), WORDS.values(), ids=WORDS)
def test_a_word_is_signed_and_goes_to_its_partition(
    governed: Governed, line: list[str], signed: dict[str, Any], scope: str
) -> None:
    printed: Any = governed.json("command", *line, "--reason", "drill", "--by", "kari")
    (record,) = [r for r in governed.read(FLEET_APPROVALS) if r.event and r.event.id == printed["approval_id"]]
    assert record.event is not None
    assert record.event.data.items() >= {**signed, "by": "kari", "reason": "drill"}.items()
    assert record.partition == partition_of(scope, PARTITIONS)
    assert record.key == record.event.subject == signed["subject_id"]
    governed.ring.trust_operators.verify(record.event.type, record.event.data)


@pytest.mark.parts
def test_a_decision_approved_by_its_id_takes_its_verb_along(governed: Governed) -> None:
    rows: Any = governed.json("command", "list", "--state", "awaiting")
    printed: Any = governed.json("command", "approve", rows[0]["decision_id"], "--reason", "ok")
    assert (printed["verb"], printed["cluster"]) == ("reconcile", "edge-1")


@pytest.mark.parts
def test_a_hold_of_a_decision_is_of_its_owner(governed: Governed) -> None:
    rows: Any = governed.json("command", "list", "--state", "awaiting")
    printed: Any = governed.json("command", "hold", rows[0]["decision_id"], "--until", "1h", "--reason", "ok")
    assert printed["subject_id"] == OWNER


@pytest.mark.parts
def test_a_subject_that_nothing_names_says_the_way_out(governed: Governed) -> None:
    shown = governed.run("command", "approve", "nonsense", "--reason", "x", exit_code=1)
    assert "abdrift command list" in shown.stderr


@pytest.mark.parts
def test_an_approval_that_nothing_waits_for_says_so(governed: Governed) -> None:
    waits: Any = governed.json("command", "list", "--state", "awaiting")
    done: Any = governed.json("command", "list", "--state", "issued")
    assert "Nothing waits" in governed.run("command", "approve", done[0]["decision_id"], "--reason", "x").stderr
    assert "Nothing waits" not in governed.run("command", "approve", waits[0]["decision_id"], "--reason", "x").stderr


@pytest.mark.parts
def test_a_duration_that_is_none_is_told_before_anything_is_read(governed: Governed) -> None:
    shown = governed.run("command", "hold", "nonsense", "--until", "2", "--reason", "x", exit_code=2)
    assert "2h" in shown.stderr


@pytest.mark.parts
def test_a_word_without_a_key_says_the_way_out(governed: Governed, tmp_path: Path) -> None:
    shown = governed.run("command", "freeze", "--reason", "x", "--keys", str(tmp_path), exit_code=1)
    assert "abdrift keys create" in shown.stderr


@pytest.mark.parts
def test_what_people_say_is_what_the_governor_believes(governed: Governed) -> None:
    printed: Any = governed.json("command", "freeze", "--reason", "drill")
    events = [r.event for r in governed.read(FLEET_APPROVALS) if r.event]
    (event,) = [e for e in events if e.id == printed["approval_id"]]
    world = World(step=GovernorStep(GOVERNOR, governed.ring.trust_operators))
    facts: list[Outgoing] = world.tell(event)
    assert [f.event.data["open"] for f in facts if f.event] == [True]

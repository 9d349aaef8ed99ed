"""A bad image where Kustomizations do not wait for health: nothing fails to apply, and workloads never come up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from abdrift.facts.base import ObjectRef
from abdrift.facts.health import HealthScope
from tests.streams.incidents.world import BAD, BLAME, GOOD, World, behind, closed, failing, health, silent

if TYPE_CHECKING:
    from abdrift.cloudevents import CloudEvent

STUCK = "ProgressDeadlineExceeded"


def rollout(
    cluster: str,
    status: str = "failing",
    code: str = STUCK,
    *,
    revision: str | None = BAD,
    name: str = "web",
    at: int = 1,
) -> CloudEvent:
    """The health of a Deployment, with the revision that its newest rollout came with."""
    key = f"workload/{cluster}/apps/Deployment/shop/{name}"
    told = health(cluster, status, *([code] if status != "healthy" else []), revision=at)
    data = {
        **told.data,
        "resource_id": key,
        "scope": HealthScope.WORKLOAD,
        "name": name,
        "object": ObjectRef(group="apps", kind="Deployment", namespace="shop", name=name).model_dump(exclude_none=True),
        "rollout_revision": revision,
    }
    return told.model_copy(update={"subject": key, "data": data})


@pytest.mark.parametrize(
    ("told", "clusters"),
    [
        pytest.param([rollout("a"), rollout("b"), rollout("c")], 3, id="a bad image in three clusters"),
        pytest.param([rollout("a"), rollout("b", name="api")], 2, id="two workloads that one commit changed"),
        pytest.param([rollout("a"), rollout("b", revision=f"early@{BAD.partition('@')[2]}")], 2, id="of two branches"),
        pytest.param([rollout("a"), failing("b")], 2, id="one cannot apply it, one does not come up"),
        pytest.param([rollout("a"), rollout("a", name="api")], 0, id="one cluster alone"),
        pytest.param([rollout("a"), rollout("b", revision=GOOD)], 0, id="another revision each"),
        pytest.param([rollout("a", revision=None), rollout("b", revision=None)], 0, id="no revision is known"),
        pytest.param([rollout("a", revision="1.2.3"), rollout("b", revision="1.2.3")], 0, id="a version of no commit"),
        pytest.param(
            [rollout("a", code="ReplicasMissing"), rollout("b", code="ReplicasMissing")],
            0,
            id="a rollout under way, in which nothing is available for a moment",
        ),
        pytest.param([rollout("a", "degraded"), rollout("b", "degraded")], 0, id="degraded"),
        pytest.param([rollout("a"), rollout("a", "healthy", at=2), rollout("b")], 0, id="one after the other"),
    ],
)
def test_rollouts_that_failed_with_one_revision_are_one_incident(told: list[CloudEvent], clusters: int) -> None:
    world = World().feed(*told).wait(2)
    assert [one.blast_radius.clusters for one in world.open()] == ([clusters] if clusters else [])
    if clusters:
        (one,) = world.open()
        assert (one.cause.kind, one.severity) == ("git-revision", "critical")
        assert one.cause.name.endswith(BAD.partition("@")[2])
        assert one.title.startswith("main@bbbbbbb fails in")


def test_it_names_the_workloads_and_rests_on_health() -> None:
    one = World().feed(rollout("a"), rollout("b")).only()
    assert [(m.cluster.name, m.object.name if m.object else "", m.finding_ids) for m in one.members] == [
        ("a", "web", ()), ("b", "web", ()),
    ]  # fmt: skip
    assert one.first.resource_id == rollout("a").subject
    assert [source.source for source in one.evidence.sources] == ["abdrift/health"]


def test_it_names_who_committed_though_nobody_is_behind_any_more() -> None:
    late = [behind(name, desired=BAD).model_copy() for name in ("a", "b")]
    told = [
        one.model_copy(update={"data": {**one.data, "desired": BLAME.model_dump(mode="json", exclude_none=True)}})
        for one in late
    ]
    world = World().feed(told[0], closed(told[0])).wait(600)
    world.feed(rollout("a"), rollout("b"))
    (one,) = world.open()
    assert one.cause.commit is not None
    assert (one.cause.commit.author, one.cause.commit.message) == (BLAME.author, BLAME.message)


def test_it_closes_when_the_rollouts_end_and_not_when_they_are_out_of_sight() -> None:
    world = World().feed(rollout("a"), rollout("b"), silent("a"), rollout("a", "unknown", "Silent", at=2)).wait(120)
    assert [one.blast_radius.clusters for one in world.open()] == [2]
    world.feed(rollout("a", "failing", "ReplicasMissing", at=3), rollout("b", "healthy", at=2)).wait(120)
    assert (world.only().state, world.only().closed_because) == ("closed", "recovered")


def test_a_workload_that_is_gone_is_no_member_any_more() -> None:
    world = World().feed(rollout("a"), rollout("b"), rollout("c"))
    world.feed(rollout("c").subject).wait(2)
    assert world.only().blast_radius.clusters == 2

"""Clusters that went away: whatever the order in which that is told, nothing of them is left."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from streams.governor.cells import FightNote, FleetCell, OwnerCell, WordCell
from streams.governor.intake import CLOSED_KEPT_MS
from streams.governor.outcomes import COMMAND_KEPT_MS
from tests.streams.governor.world import World, acting

if TYPE_CHECKING:
    from collections.abc import Callable

    from abdrift.cloudevents import CloudEvent

TOLD: dict[str, Callable[[World], CloudEvent | str]] = {
    "closing": lambda w: w.closing("f1", closed_because="cluster-gone"),
    "verdict": lambda _: "verdict-edge-1-apps",
    "inventory": lambda _: "edge-1",
    "health": lambda _: "cluster/edge-1",
}
"""What drift and health say of a cluster that they forget: a fact, or a tombstone by its key."""
ORDERS = list(itertools.permutations(TOLD))


def forget(world: World, order: tuple[str, ...]) -> None:
    """Each topic has an order of its own; between them there is none."""
    for name in order:
        told = TOLD[name](world)
        if isinstance(told, str):
            world.bury(told)
        else:
            world.tell(told)


def outlive(world: World) -> None:
    """Wait until nothing more can be heard of what was commanded, and the findings' tombstones are there."""
    world.now_ms += max(CLOSED_KEPT_MS, COMMAND_KEPT_MS) + 24 * 3_600_000
    world.bury("f1")
    world.wait(61)


@pytest.mark.parametrize("order", ORDERS, ids=["-".join(order) for order in ORDERS])
def test_a_cluster_that_went_away_leaves_nothing(order: tuple[str, ...]) -> None:
    world = acting()
    world.tell(world.silence())
    world.tell(world.finding(), world.word("hold", "owner/edge-1/Kustomization/flux-system/apps"))
    forget(world, order)
    outlive(world)
    assert set(world.cells) == {"fleet", "policy/default"}
    fleet = world.cells["fleet"]
    assert isinstance(fleet, FleetCell)
    assert (fleet.clusters, fleet.surging, fleet.breaker) == (0, 0, ())


def test_a_command_of_its_last_minutes_counts_until_nobody_can_be_at_it() -> None:
    world = acting(limits={"command_ttl_seconds": 30})
    world.tell(world.finding())
    assert len(world.commands) == 1
    forget(world, ORDERS[0])
    assert world.cells["budget/fleet/"].in_flight == 1
    world.wait(60)
    assert world.cells["budget/fleet/"].in_flight == 0
    outlive(world)
    assert set(world.cells) == {"fleet", "policy/default"}


def test_a_fight_is_over_with_its_cluster_and_not_before() -> None:
    world = acting()
    key = "owner/edge-1/Kustomization/flux-system/apps"
    owner = world.cells[key]
    assert isinstance(owner, OwnerCell)
    world.cells[key] = replace(owner, fight=FightNote("apps/Deployment/web/shop", ("hpa",), world.now_ms))
    world.bury("verdict-edge-1-apps")
    outlive(world)
    assert key in world.cells
    world.bury("edge-1")
    outlive(world)
    assert key not in world.cells


def test_a_freeze_stands_until_it_is_thawed_whether_its_cluster_is_known_or_not() -> None:
    world = acting()
    world.tell(world.word("freeze", "cluster/edge-1"))
    forget(world, ORDERS[0])
    outlive(world)
    assert [c.subject for c in world.cells.values() if isinstance(c, WordCell)] == ["cluster/edge-1"]
    world.tell(world.inventory(), world.verdict(), world.finding("f2"))
    assert world.last.startswith("refused: frozen")

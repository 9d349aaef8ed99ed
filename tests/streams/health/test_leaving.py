"""Clusters that went away: when they are forgotten, that their facts go, and that nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import forgetting
from streams.health import HealthStep
from streams.step import Batch, Input
from tests.streams.health.test_properties import (
    RECORDS,
    T0,
    deployment,
    frame,
    heartbeat,
    inventory,
    kind_row,
    level,
    rate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.step import Outgoing

EDGE, OTHER = "edge-1", "edge-2"
SECOND_MS, DAY_MS = 1_000, 86_400_000
SILENT_MS = 15_001
"""After the last heartbeat of an agent that promises one every five seconds."""
MEMORY = {"told", "told-levels"}
"""Cells that say which frames of words were taken, whatever clusters they are about."""


class Story:
    """A partition's records as they come."""

    def __init__(self) -> None:
        self.cells: dict[str, Any] = {}
        self.facts: list[Outgoing] = []
        self.now_ms = T0
        self.offset = 0

    def feed(self, *rows: Any) -> Story:
        """A frame of rows of one kind; a tick where there are none."""
        told = frame(list(rows) or None, 1, self.offset)
        return self.take(Input("abdrift.signals.objects.v1", 0, self.offset, self.now_ms, frame=told))

    def take(self, record: Input) -> Story:
        self.offset += 1
        result = HealthStep().process(self.cells, Batch(0, 1, [record]))
        assert not result.refused
        self.cells = {key: cell for key, cell in {**self.cells, **result.cells}.items() if cell is not None}
        self.facts += result.facts
        return self

    def after(self, ms: int) -> Story:
        """A tick after so long."""
        self.now_ms += ms
        return self.feed()

    def known(self) -> list[str]:
        return list(self.cells["clusters"].keys) if "clusters" in self.cells else []

    def told(self) -> set[str]:
        """Subjects of which readers of the compacted topic know."""
        newest = {fact.key: fact.event for fact in self.facts}
        return {key for key, event in newest.items() if event is not None}


def seen(story: Story) -> Story:
    return story.feed(heartbeat(EDGE), deployment(EDGE, "a", 2))


def withdrawn(story: Story) -> Story:
    return story.feed(inventory(EDGE, withdrawn=True))


LIMITS: dict[str, tuple[Callable[[Story], Story], int | None]] = {
    "withdrawn-while-silent": (lambda s: withdrawn(seen(s).after(SILENT_MS)), forgetting.WITHDRAWN_MS),
    "withdrawn-while-heard": (lambda s: withdrawn(seen(s)).after(SILENT_MS), forgetting.WITHDRAWN_MS),
    "withdrawn-before-its-first-heartbeat": (
        lambda s: withdrawn(s.feed(deployment(EDGE, "a", 2))),
        forgetting.WITHDRAWN_MS,
    ),
    "never-declared": (lambda s: seen(s).after(SILENT_MS), forgetting.UNDECLARED_MS),
    "never-heard": (lambda s: s.feed(deployment(EDGE, "a", 2)), forgetting.UNDECLARED_MS),
    "after-an-outage-of-all": (lambda s: seen(s).after(30 * DAY_MS), forgetting.UNDECLARED_MS),
    "heard-in-between": (
        lambda s: seen(seen(s).after(SILENT_MS).after(5 * DAY_MS)).after(SILENT_MS),
        forgetting.UNDECLARED_MS,
    ),
    "of-words-alone": (lambda s: s.feed(rate(EDGE, "shop-a", "a-1-2")), forgetting.UNDECLARED_MS),
    "declared": (lambda s: seen(s.feed(inventory(EDGE, withdrawn=False))).after(SILENT_MS), None),
    "declared-and-never-heard": (lambda s: s.feed(inventory(EDGE, withdrawn=False)), None),
    "declared-anew": (lambda s: withdrawn(seen(s).after(SILENT_MS)).feed(inventory(EDGE, withdrawn=False)), None),
}


@pytest.mark.parametrize(("story", "limit_ms"), LIMITS.values(), ids=LIMITS)
def test_when_a_cluster_is_forgotten(story: Callable[[Story], Story], limit_ms: int | None) -> None:
    told = story(Story()).after((limit_ms or 400 * DAY_MS) - 1)
    assert told.known() == [EDGE]
    assert told.after(1).known() == ([] if limit_ms else [EDGE])
    if limit_ms:
        assert set(told.cells) <= MEMORY
        assert not told.told()


def test_a_declaration_withdrawn_before_anybody_saw_the_cluster_leaves_nothing_at_once() -> None:
    story = withdrawn(Story().feed(inventory(EDGE, withdrawn=False)))
    assert (story.cells, story.told()) == ({}, set())


def test_a_cluster_that_speaks_again_starts_afresh() -> None:
    story = withdrawn(seen(Story()).after(SILENT_MS)).after(forgetting.WITHDRAWN_MS)
    assert not story.told()
    story.feed(heartbeat(EDGE))
    assert story.told() == {f"cluster/{EDGE}"}
    assert story.facts[-1].event is not None
    assert (story.facts[-1].event.data["revision"], story.facts[-1].event.data["status"]) == (1, "unknown")


LATE: dict[str, Any] = {
    "of-the-cluster": level(EDGE, "cluster", "", "", "", "clear"),
    "of-a-workload": level(EDGE, "workload", "shop-a", "Pod", "a", "clear"),
    "of-a-node": level(EDGE, "node", "", "Node", "n1", "clear"),
    "of-warnings": rate(EDGE, "shop-a", "a-1-2", unusual=False),
}


@pytest.mark.parametrize("word", LATE.values(), ids=LATE)
def test_a_word_that_is_taken_back_later_brings_nothing_back(word: Any) -> None:
    story = seen(Story()).feed(level(EDGE, "cluster", "", "", "", "firing")).feed(rate(EDGE, "shop-x", "x-1-2"))
    withdrawn(story.after(SILENT_MS)).after(forgetting.WITHDRAWN_MS).feed(word)
    assert set(story.cells) <= MEMORY
    assert not story.told()


def test_many_that_are_due_at_once_go_one_slice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "SLICE_CELLS", 1)
    names = [f"edge-{number}" for number in range(4)]
    story = Story().feed(*(heartbeat(name) for name in names)).after(SILENT_MS)
    story.feed(*(inventory(name, withdrawn=True) for name in names)).after(forgetting.WITHDRAWN_MS)
    left = [story.known(), *(story.after(SECOND_MS).known() for _ in range(4))]
    assert left == [names[1:], names[2:], names[3:], [], []]


def of_cluster(rows: Sequence[Any] | None, cluster: str) -> list[Any] | None:
    return [row for row in rows or () if row.cluster == cluster] or None


@given(st.lists(RECORDS, min_size=1, max_size=10))
@settings(max_examples=60, deadline=None)
def test_a_fleet_that_forgot_a_cluster_is_as_one_that_never_had_it(told: list[Any]) -> None:
    both, alone = Story(), Story()
    for seconds, epoch, rows in told:
        for cluster in (EDGE, OTHER):
            at_ms = both.now_ms + seconds * SECOND_MS
            both.now_ms = alone.now_ms = at_ms
            read = frame(of_cluster(rows, cluster), epoch, both.offset)
            record = Input("t", 0, both.offset, at_ms, frame=read)
            both.take(record)
            alone.take(record if cluster == OTHER else Input("t", 0, record.offset, at_ms))
    withdrawn(both)
    alone.feed()
    for ms in (SILENT_MS, forgetting.WITHDRAWN_MS, SECOND_MS):
        both.after(ms)
        alone.after(ms)
    assert EDGE not in repr(both.cells)
    assert {k: v for k, v in both.cells.items() if k not in MEMORY} == {
        k: v for k, v in alone.cells.items() if k not in MEMORY
    }
    assert both.told() == alone.told()


@pytest.mark.parametrize("op", ["synced", "lost"])
def test_what_an_agent_says_of_its_sight_is_forgotten_too(op: str) -> None:
    story = withdrawn(seen(Story()).feed(kind_row(EDGE, op)).after(SILENT_MS)).after(forgetting.WITHDRAWN_MS)
    assert not story.cells

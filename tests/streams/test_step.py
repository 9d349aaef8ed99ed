"""What every step rests on: batches, causes, ids and facts as they are published."""

from __future__ import annotations

import msgspec
import pytest

from abdrift.cloudevents import CloudEvent
from abdrift.topics import DEAD_LETTER, DEAD_LETTERS, FLEET_HEALTH, HEALTH
from streams.step import Batch, Cause, Input, Publication, cell_codec, fact_id, publish, stable_id, tombstone

CAUSE = Cause("t", 1, 2, 3)
EVENT = CloudEvent(id="i", source="s", type="t", subject="x", time="t", data={})


@pytest.mark.parametrize(
    "other",
    [Cause("u", 1, 2, 3), Cause("t", 0, 2, 3), Cause("t", 1, 0, 3), Cause("t", 1, 2, 0)],
    ids=["topic", "partition", "offset", "row"],
)
def test_another_cause_is_another_fact(other: Cause) -> None:
    assert fact_id("s", "k", CAUSE) == fact_id("s", "k", Cause("t", 1, 2, 3))
    assert fact_id("s", "k", other) != fact_id("s", "k", CAUSE)


def test_ids_depend_on_all_their_parts() -> None:
    assert len({fact_id("s", "k", CAUSE), fact_id("s", "l", CAUSE), fact_id("r", "k", CAUSE)}) == 3
    assert stable_id("a", "b") == stable_id("a", "b") != stable_id("ab")


@pytest.mark.parametrize(
    ("fields", "tick"), [({}, True), ({"tombstone": True}, False), ({"event": EVENT}, False)], ids=str
)
def test_a_tick_carries_nothing(fields: dict, tick: bool) -> None:
    assert Input("t", 0, 0, 0, **fields).is_tick is tick


def test_a_batch_is_at_its_newest_append_time() -> None:
    assert Batch(0, 1, [Input("t", 0, 0, 5), Input("t", 0, 1, 3)]).now_ms == 5
    assert Batch(0, 1, []).now_ms == 0
    assert Input("t", 1, 2, 0).cause(3) == CAUSE


def about(**changed: str | None) -> Publication:
    fields = {"subject": "x", "source": "health", "cluster": "edge-1"} | changed
    return Publication(topic=FLEET_HEALTH, fact_type=HEALTH, cause=CAUSE, at_ms=1_700_000_000_000, **fields)


def test_a_published_fact_names_what_it_is() -> None:
    fact = publish(about(), {"revision": 7})
    assert (fact.topic, fact.key, fact.scope) == (FLEET_HEALTH, "x", "edge-1")
    assert fact.event is not None
    assert fact.event.model_dump(exclude={"id"}) == {
        "specversion": "1.0",
        "source": "/abdrift/streams/health",
        "type": HEALTH.name,
        "subject": "x",
        "time": "2023-11-14T22:13:20.000Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:abdrift:schema:dev.abdrift.fleet.health.v1",
        "cluster": "edge-1",
        "data": {"revision": 7},
    }


def test_each_revision_of_one_cause_has_its_own_id() -> None:
    first, second = (publish(about(), {"revision": n}).event for n in (1, 2))
    assert first is not None
    assert second is not None
    assert first.id != second.id


def test_what_belongs_to_no_cluster_goes_by_its_scope() -> None:
    fact = publish(about(cluster=None, scope="fleet"), {})
    assert (fact.scope, fact.event.cluster if fact.event else "") == ("fleet", None)
    with pytest.raises(AssertionError, match="a cluster or a scope"):
        publish(about(cluster=None), {})


def test_a_tombstone_has_a_key_and_no_event() -> None:
    fact = tombstone(DEAD_LETTERS, "k", "edge-1")
    assert (fact.key, fact.scope, fact.event) == ("k", "edge-1", None)
    assert DEAD_LETTER in DEAD_LETTERS.facts


class Sample(msgspec.Struct, frozen=True, tag="sample"):
    """A cell."""

    counts: tuple[int, int]


def test_cells_survive_their_bytes() -> None:
    encoder, decoder = cell_codec(Sample)
    assert decoder.decode(encoder.encode(Sample((1, 2)))) == Sample((1, 2))

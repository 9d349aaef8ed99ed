"""Every query of the dashboards on a real Elasticsearch, with a story's facts as the sink writes them."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from elasticsearch import AsyncElasticsearch

from abdrift.latest import Change
from abdrift.signals import events
from abdrift.topics import EVENTS
from sinks.elasticsearch import features, setup
from sinks.elasticsearch.config import ElasticsearchConfig
from sinks.elasticsearch.indices import CURRENT_PATTERN, FACT_TOPICS, FACTS_PATTERN, STREAMS_PATTERN
from sinks.elasticsearch.operations import Operation
from sinks.elasticsearch.places import Places
from sinks.elasticsearch.reading import FactsReader, SignalsReader
from sinks.elasticsearch.writing import Writer
from tests.sinks.elasticsearch import saved_objects, story
from tests.sinks.elasticsearch.records import NOW_MS, framed, record
from tests.sinks.elasticsearch.test_documents import EVENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.elasticsearch import Elasticsearch

pytestmark = pytest.mark.parts

SINCE = story.NOW - timedelta(hours=1)
UNTIL = story.NOW + timedelta(hours=1)
EMPTY_IN_THE_STORY = {"abdrift-audit-failed", "abdrift-drift-unknown", "abdrift-drift-partial"}
"""What counts what this story has none of, and is right to say so."""


def operations(config: ElasticsearchConfig) -> Iterator[Operation]:
    """Yield what the sink does about the story and an Event beside it."""
    places = Places()
    places.take(Change("", story.CLUSTER, event.encode(), 0) for noun, event in story.events() if noun == "inventory")
    read = FactsReader(config, places, lambda: NOW_MS)
    for number, (noun, event) in enumerate(story.events()):
        for one in read(record(FACT_TOPICS[noun].name, event.encode(), event.subject.encode(), number)):
            assert isinstance(one, Operation)
            yield one
    row = msgspec.structs.replace(EVENT, last_ms=NOW_MS)
    for one in SignalsReader(config, places)(framed(EVENTS.name, events.EVENTS, events.columns_of([row]))):
        assert isinstance(one, Operation)
        yield one


async def test_every_query_of_the_dashboards_finds_the_story(elasticsearch: Elasticsearch) -> None:
    config = ElasticsearchConfig(
        elasticsearch={"urls": [elasticsearch.url]},
        indices={"replicas": 0},
        events={"data_stream_namespace": f"t{secrets.token_hex(4)}"},
    )
    async with AsyncElasticsearch(elasticsearch.url) as client:
        await setup.install(client, config, await features.asked(client))
        assert not await Writer(client, config.bulk).write(list(operations(config)))
        for pattern in (FACTS_PATTERN, CURRENT_PATTERN, STREAMS_PATTERN):
            await client.indices.refresh(index=pattern)
        silent = set()
        for one in saved_objects.asked():
            answer = await client.search(index=one.index, body=one.body(SINCE.isoformat(), UNTIL.isoformat()))
            if not answer["hits"]["total"]["value"]:
                silent.add(one.name)
                continue
            assert all(_has_buckets(each) for each in answer.get("aggregations", {}).values()), one.name
        assert silent <= EMPTY_IN_THE_STORY
        await _every_field_can_be_searched(client)


def _has_buckets(aggregation: dict[str, Any]) -> bool:
    if "buckets" in aggregation:
        inner = [each for bucket in aggregation["buckets"] for each in bucket.values() if isinstance(each, dict)]
        return bool(aggregation["buckets"]) and all(_has_buckets(each) for each in inner)
    return aggregation["value"] is not None


async def _every_field_can_be_searched(client: AsyncElasticsearch) -> None:
    """Ask the server for each field that is named: that it has it, and whether it can be counted by."""
    for one in saved_objects.asked():
        known = (await client.field_caps(index=one.index, fields=sorted(one.fields)))["fields"]
        assert set(known) >= one.fields, one.name
    chosen = saved_objects.controls()
    known = (await client.field_caps(index=FACTS_PATTERN, fields=sorted(chosen)))["fields"]
    assert all(kind["aggregatable"] for name in chosen for kind in known[name].values())

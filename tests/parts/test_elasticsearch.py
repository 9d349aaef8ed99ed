"""The real Elasticsearch: it keeps its data, and has what the sink's tests rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from elasticsearch import Elasticsearch as Client

if TYPE_CHECKING:
    from tests.parts.elasticsearch import Elasticsearch

pytestmark = pytest.mark.parts


def test_what_was_written_is_there_after_a_restart_and_data_streams_roll_over(elasticsearch: Elasticsearch) -> None:
    client = Client(elasticsearch.url)
    client.indices.put_index_template(
        name="part", index_patterns=["part-*"], data_stream={}, template={"settings": {"number_of_replicas": 0}}
    )
    client.create(index="part-a", id="1", document={"@timestamp": 0})
    assert client.indices.rollover(alias="part-a")["rolled_over"]
    elasticsearch.part.restart()
    client.indices.refresh(index="part-a")
    assert client.count(index="part-a")["count"] == 1
    (stream,) = client.indices.get_data_stream(name="part-a")["data_streams"]
    assert len(stream["indices"]) == 2

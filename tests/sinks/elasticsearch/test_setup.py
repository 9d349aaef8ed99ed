"""Indices that are made before there is anything to write: by whom, and which."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from elasticsearch import AsyncElasticsearch

from sinks.elasticsearch import features, setup
from sinks.elasticsearch.config import ElasticsearchConfig
from tests.sinks.elasticsearch.failing import failed

if TYPE_CHECKING:
    from tests.parts.elasticsearch import Elasticsearch

SERVER: dict[str, Any] = {"urls": ["http://es:9200"]}
NOW_MS = int(datetime(2031, 3, 31, 23, 59, tzinfo=UTC).timestamp() * 1000)
CURRENT, FACTS = "abdrift-current-incidents", "abdrift-facts-incidents-2031.03"


class Server:
    """Makes indices, or refuses with a status."""

    def __init__(self, status: int = 200) -> None:
        self.made: list[str] = []
        self.indices = SimpleNamespace(create=self._create)
        self._status = status

    async def _create(self, index: str) -> None:
        if self._status != 200:
            raise failed(self._status)
        self.made.append(index)


@pytest.mark.parametrize(
    ("facts", "made"),
    [
        ({}, [CURRENT, FACTS]),
        ({"only_current": ["incidents"]}, [CURRENT]),
        ({"topics": ["drift"]}, []),
    ],
    ids=["by default", "without history", "not wanted"],
)
async def test_which_indices_are_made(facts: dict[str, Any], made: list[str]) -> None:
    server, config = Server(), ElasticsearchConfig(elasticsearch=SERVER, facts=facts)
    assert await setup.make_indices(server, config, NOW_MS) == made  # type: ignore[arg-type]
    assert server.made == made


async def test_a_server_that_refuses_them_now_is_no_reason_not_to_start() -> None:
    config = ElasticsearchConfig(elasticsearch=SERVER)
    assert await setup.make_indices(Server(status=403), config, NOW_MS) == []  # type: ignore[arg-type]


@pytest.mark.parts
async def test_two_processes_make_them_once_with_the_fields_of_the_template(elasticsearch: Elasticsearch) -> None:
    config = ElasticsearchConfig(elasticsearch={"urls": [elasticsearch.url]}, indices={"replicas": 0})
    async with AsyncElasticsearch(elasticsearch.url) as client:
        await setup.install(client, config, await features.asked(client))
        for _ in range(2):
            assert await setup.make_indices(client, config, NOW_MS) == [CURRENT, FACTS]
        mapping = (await client.indices.get_mapping(index=FACTS))[FACTS]["mappings"]
        assert mapping["dynamic"] == "false"
        assert "incident" in mapping["properties"]["abdrift"]["properties"]
        await client.search(index=FACTS)

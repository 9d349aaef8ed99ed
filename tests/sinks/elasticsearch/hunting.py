"""Looks through all that an Elasticsearch holds, for a string that must be nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_scan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def documents(url: str) -> AsyncIterator[tuple[str, bytes]]:
    """Yield each document of each index, hidden ones too, by its index's name."""
    async with AsyncElasticsearch(url) as client:
        await client.indices.refresh(index="_all", expand_wildcards="all")
        async for hit in async_scan(client, index="_all", expand_wildcards="all", query={"query": {"match_all": {}}}):
            yield hit["_index"], hit["_id"].encode() + orjson.dumps(hit["_source"])


async def found(canary: str, url: str) -> set[str]:
    """Return the indices with a document that holds the canary."""
    return {index async for index, content in documents(url) if canary.encode() in content}

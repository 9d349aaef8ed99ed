"""Looks through all that an Elasticsearch holds, for a string that must be nowhere."""

from __future__ import annotations

from http import HTTPStatus

import orjson
from elasticsearch import ApiError, AsyncElasticsearch
from elasticsearch.helpers import ScanError, async_scan

from tests.parts.waiting import until


async def documents(url: str) -> list[tuple[str, bytes]]:
    """Return each document of each index, hidden ones too, by its index's name.

    An index that was made this moment has shards that do not answer yet; what comes without them is not all there is.
    """
    async with AsyncElasticsearch(url) as client:

        async def scanned() -> tuple[list[tuple[str, bytes]]] | None:
            try:
                await client.indices.refresh(index="_all", expand_wildcards="all")
                hits = async_scan(client, index="_all", expand_wildcards="all", query={"query": {"match_all": {}}})
                return ([(hit["_index"], hit["_id"].encode() + orjson.dumps(hit["_source"])) async for hit in hits],)
            except ScanError:
                return None
            except ApiError as error:
                if error.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
                    return None
                raise

        return (await until(scanned, "every shard of every index answers"))[0]


async def found(canary: str, url: str) -> set[str]:
    """Return the indices with a document that holds the canary."""
    return {index for index, content in await documents(url) if canary.encode() in content}

"""What a server has: asked of it, for they differ, by version, licence and whether somebody else runs it."""

import logging
from dataclasses import dataclass
from typing import Any, Final

from elasticsearch import ApiError, AsyncElasticsearch

from sinks.elasticsearch.mappings import PLAIN

log = logging.getLogger(__name__)

_ABSENT: Final = frozenset({400, 404, 405, 410})
"""What servers say to a request that they have no handler for; Elastic's serverless says 410."""


@dataclass(frozen=True, slots=True)
class Features:
    """What this server has."""

    version: str
    has_ilm: bool
    has_lifecycle: bool
    """Whether data streams have a retention of their own."""
    types: frozenset[str]
    """Of the field types that not every server has."""

    def as_json(self) -> dict[str, Any]:
        """Return what a script may read."""
        return {
            "version": self.version,
            "ilm": self.has_ilm,
            "lifecycle": self.has_lifecycle,
            "types": sorted(self.types),
        }


async def asked(client: AsyncElasticsearch) -> Features:
    """Ask the server.

    Raises:
        elasticsearch.ApiError, elastic_transport.TransportError: it does not answer, or not to this client.

    """
    version = (await client.info())["version"]["number"]
    types = [kind for kind in PLAIN if await _has_type(client, kind)]
    found = Features(
        version,
        has_ilm=await _has(client, "/_ilm/status"),
        has_lifecycle=await _has(client, "/_data_stream/*/_lifecycle"),
        types=frozenset(types),
    )
    log.info("Elasticsearch %s: %s", version, found)
    return found


async def _has(client: AsyncElasticsearch, path: str) -> bool:
    try:
        await client.perform_request("GET", path, headers={"accept": "application/json"})
    except ApiError as error:
        if error.meta.status in _ABSENT:
            return False
        raise
    return True


async def _has_type(client: AsyncElasticsearch, kind: str) -> bool:
    """Tell whether a template with a field of this type would be taken; nothing is stored."""
    try:
        await client.indices.simulate_template(
            index_patterns=["abdrift-type-probe"],
            priority=1_000_000,
            template={"mappings": {"properties": {"probe": {"type": kind}}}},
        )
    except ApiError as error:
        if error.meta.status in _ABSENT:
            return False
        raise
    return True

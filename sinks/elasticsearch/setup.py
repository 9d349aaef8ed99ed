"""Installs templates and policies, and keeps retention where the server does not."""

import asyncio
import logging
from typing import Final

from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch

from abdrift.clock import ClockMs, to_datetime
from sinks.elasticsearch import telemetry
from sinks.elasticsearch.config import ElasticsearchConfig
from sinks.elasticsearch.features import Features
from sinks.elasticsearch.indices import (
    EVENTS_DATASET,
    FACTS_PATTERN,
    INCIDENTS,
    LOGS_DATASET,
    current_index,
    data_stream,
    facts_index,
    over,
    over_in_stream,
)
from sinks.elasticsearch.rollovers import created_ms
from sinks.elasticsearch.templates import ROLLOVER_AGE, ROLLOVER_BYTES, made

log = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 3_600
_EXISTS: Final = "resource_already_exists_exception"


async def install(client: AsyncElasticsearch, config: ElasticsearchConfig, features: Features) -> list[str]:
    """Install what the server is to have, over what was there, and return the names.

    Raises:
        elasticsearch.ApiError, elastic_transport.TransportError: it does not answer, or refuses.

    """
    wanted = made(config, features)
    for name, policy in wanted.policies.items():
        await client.ilm.put_lifecycle(name=name, policy=policy)
    for name, template in wanted.components.items():
        await client.cluster.put_component_template(name=name, template=template)
    for name, template in wanted.templates.items():
        await client.indices.put_index_template(name=name, **template)
    return [*wanted.policies, *wanted.components, *wanted.templates]


async def make_indices(client: AsyncElasticsearch, config: ElasticsearchConfig, now_ms: int) -> list[str]:
    """Make the indices of incidents, so that the first one need not wait for them, and return those that are there.

    What the server refuses now is made with the first incident.

    Raises:
        elastic_transport.TransportError: it does not answer.

    """
    made: list[str] = []
    names = [current_index(INCIDENTS)] if INCIDENTS in config.facts.topics else []
    if names and INCIDENTS not in config.facts.only_current:
        names.append(facts_index(INCIDENTS, to_datetime(now_ms)))
    for name in names:
        try:
            await client.indices.create(index=name)
        except ApiError as error:
            if error.message != _EXISTS:
                log.warning("%s is not made before the first incident: %s", name, error)
                continue
        made.append(name)
    return made


async def keep_retention(
    client: AsyncElasticsearch, config: ElasticsearchConfig, features: Features, clock: ClockMs
) -> None:
    """Drop what is past retention, each hour, where the server does not by itself. Returns when it is cancelled."""
    while True:
        try:
            await enforce(client, config, features, clock())
        except (ApiError, TransportError) as error:
            log.warning("retention waits for the next hour: %s", error)
        await asyncio.sleep(_EVERY_SECONDS)


async def enforce(
    client: AsyncElasticsearch, config: ElasticsearchConfig, features: Features, now_ms: int
) -> list[str]:
    """Drop what is past retention now, roll data streams over that are due, and return what was dropped.

    Raises:
        elasticsearch.ApiError, elastic_transport.TransportError: it does not answer, or refuses.

    """
    dropped: list[str] = []
    if not features.has_ilm:
        answer = await client.indices.resolve_index(name=FACTS_PATTERN)
        names = [index["name"] for index in answer["indices"]]
        dropped += over(names, to_datetime(now_ms), config.facts.retention_days)
    if not features.has_ilm and not features.has_lifecycle:
        for dataset, stream in ((EVENTS_DATASET, config.events), (LOGS_DATASET, config.logs)):
            dropped += await _kept(
                client, data_stream(dataset, stream.data_stream_namespace), stream.retention_days, now_ms
            )
    for name in dropped:
        await client.indices.delete(index=name, ignore_unavailable=True)
        telemetry.DROPPED_INDICES.inc()
        log.info("dropped %s: past retention", name)
    return dropped


async def _kept(client: AsyncElasticsearch, stream: str, retention_days: int, now_ms: int) -> list[str]:
    """Roll a data stream over where it is due; return its backing indices that are past retention."""
    if not await created_ms(client, stream):
        return []
    conditions = {"max_age": ROLLOVER_AGE, "max_primary_shard_size": ROLLOVER_BYTES, "min_docs": 1}
    await client.indices.rollover(alias=stream, conditions=conditions)
    return over_in_stream(await created_ms(client, stream), now_ms, retention_days)

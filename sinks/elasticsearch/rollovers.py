"""Rows that a data stream has already: an id is unique within one backing index, so a rollover would let one in twice.

A row that Kafka took after the newest backing index was begun is in no older one. Only of rows that Kafka took before
(a replay, or what was held while a rollover happened) the data stream is asked; in a steady stream, nothing is.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from elasticsearch import AsyncElasticsearch, NotFoundError

from sinks.elasticsearch import telemetry
from sinks.elasticsearch.operations import Operation

_SKEW_MS: Final = 300_000
"""How far Elasticsearch's clock may be behind Kafka's."""


async def created_ms(client: AsyncElasticsearch, stream: str) -> dict[str, int]:
    """Return when each backing index of a data stream was begun; empty where there is no such data stream.

    Raises:
        elasticsearch.ApiError, elastic_transport.TransportError: it does not answer, or refuses.

    """
    try:
        answer = await client.indices.get_settings(index=stream, name="index.creation_date", flat_settings=True)
    except NotFoundError:
        return {}
    return {name: int(index["settings"]["index.creation_date"]) for name, index in answer.items()}


class Rollovers:
    """What is known of data streams' backing indices."""

    def __init__(self, client: AsyncElasticsearch) -> None:
        self._client = client
        self._created: dict[str, dict[str, int]] = {}
        self._unsure: dict[Operation, str] = {}

    def forget(self) -> None:
        """Ask anew next time: while an answer was missing, a data stream may have rolled over."""
        self._created.clear()

    async def present(self, operations: Iterable[Operation]) -> set[str]:
        """Return the ids of those that their data streams have already, in whichever backing index.

        Raises:
            elasticsearch.ApiError, elastic_transport.TransportError: it does not answer, or refuses.

        """
        found: set[str] = set()
        for stream, rows in _by_stream(operations).items():
            known = await self._known(stream)
            old = [row.id for row in rows if len(known) > 1 and row.place.append_ms <= max(known.values()) + _SKEW_MS]
            found.update(hit["_id"] for hit in await self._found(stream, old))
        return found

    def note(self, written: Iterable[tuple[Operation, str]]) -> None:
        """Remember what was written into a backing index that was not known: it may be in an older one too."""
        for operation, index in written:
            if operation.is_streamed and index not in self._created.get(operation.index, ()):
                self._unsure[operation] = index

    async def undouble(self) -> None:
        """Take out again what `note` remembers and an older backing index has too.

        Raises:
            elasticsearch.ApiError, elastic_transport.TransportError: it does not answer, or refuses. Nothing of what is
                remembered is forgotten then.

        """
        for stream, rows in _by_stream(self._unsure).items():
            copies = Counter(hit["_id"] for hit in await self._found(stream, [row.id for row in rows]))
            for row in rows:
                if copies[row.id] > 1:
                    await self._client.options(ignore_status=404).delete(index=self._unsure[row], id=row.id)
                    telemetry.DOUBLES.inc()
            self._created.pop(stream, None)
        self._unsure.clear()

    async def _known(self, stream: str) -> dict[str, int]:
        if stream not in self._created:
            self._created[stream] = await created_ms(self._client, stream)
        return self._created[stream]

    async def _found(self, stream: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        if not ids:
            return []
        await self._client.indices.refresh(index=stream)
        # An id may be in two backing indices while a copy waits to be taken out.
        answer = await self._client.search(
            index=stream, query={"ids": {"values": list(ids)}}, size=2 * len(ids), source=False, track_total_hits=False
        )
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
        return hits


def _by_stream(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    found: dict[str, list[Operation]] = {}
    for operation in operations:
        if operation.is_streamed:
            found.setdefault(operation.index, []).append(operation)
    return found

"""Sends documents until each is written, was there, or is refused for what it holds. Nothing else ends the trying."""

import asyncio
import logging
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch

from sinks.elasticsearch import telemetry
from sinks.elasticsearch.config import Bulk
from sinks.elasticsearch.operations import Answer, Operation, Result, answer
from sinks.elasticsearch.rollovers import Rollovers

log = logging.getLogger(__name__)

_TOO_LARGE: Final = 413


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document that Elasticsearch will never take."""

    operation: Operation
    reason: str
    message: str


class Writer:
    """Writes one batch after another. Not for use by two tasks at a time."""

    def __init__(self, client: AsyncElasticsearch, bulk: Bulk, *, refreshes: bool = False) -> None:
        """Take whether what was written is found by searches at once, which costs a refresh for each request."""
        self.bulk = bulk
        """How much one request may hold."""
        self._client = client
        self._refresh = True if refreshes else None
        self._rollovers = Rollovers(client)

    async def write(self, operations: Sequence[Operation]) -> list[Refusal]:
        """Return once every document has come to an end, with those that were refused."""
        refusals: list[Refusal] = []
        waiting, delay_seconds = list(operations), self.bulk.backoff_initial_seconds
        is_first = True
        while waiting:
            if not is_first:
                await asyncio.sleep(delay_seconds * random.uniform(0.5, 1))  # noqa: S311  jitter
                delay_seconds = min(2 * delay_seconds, self.bulk.backoff_max_seconds)
                self._rollovers.forget()
            before = len(waiting)
            waiting = await self._tried(waiting, refusals)
            is_first = False
            if len(waiting) < before:
                delay_seconds = self.bulk.backoff_initial_seconds
        return refusals

    async def _tried(self, operations: list[Operation], refusals: list[Refusal]) -> list[Operation]:
        """Send once; return those to be tried again."""
        try:
            await self._rollovers.undouble()
            present = await self._rollovers.present(operations)
            left = [one for one in operations if not (one.is_streamed and one.id in present)]
            answers = await self._sent(left) if left else []
            self._rollovers.note((one, said.index) for one, said in zip(left, answers, strict=True) if said.index)
            await self._rollovers.undouble()
        except ApiError as error:
            if error.meta.status == _TOO_LARGE:
                return await self._halved(operations, refusals)
            return _again(operations, str(error.meta.status), error)
        except TransportError as error:
            return _again(operations, type(error).__name__, error)
        _count((one, Result.PRESENT) for one in operations if one.is_streamed and one.id in present)
        return _sorted(left, answers, refusals)

    async def _sent(self, operations: Sequence[Operation]) -> list[Answer]:
        began = time.perf_counter()
        body: list[Any] = [line for operation in operations for line in operation.lines()]
        answered = await self._client.bulk(operations=body, refresh=self._refresh)
        telemetry.BULK_SECONDS.observe(time.perf_counter() - began)
        telemetry.BULK_BYTES.inc(sum(map(len, body)))
        return [answer(operation, item) for operation, item in zip(operations, answered["items"], strict=True)]

    async def _halved(self, operations: list[Operation], refusals: list[Refusal]) -> list[Operation]:
        """Send in two what was too large in one; refuse what is too large alone."""
        if len(operations) == 1:
            _count([(operations[0], Result.REFUSED)])
            refusals.append(Refusal(operations[0], "too-large", "the server takes no request of this size"))
            return []
        half = len(operations) // 2
        again = await self._tried(operations[:half], refusals)
        return again + await self._tried(operations[half:], refusals)


def batched(operations: Iterable[Operation], bulk: Bulk) -> Iterator[list[Operation]]:
    """Yield the operations in order, in lists of what one request may hold."""
    batch: list[Operation] = []
    size_bytes = 0
    for operation in operations:
        if len(batch) >= bulk.documents or (batch and size_bytes + operation.size_bytes > bulk.size_bytes):
            yield batch
            batch, size_bytes = [], 0
        batch.append(operation)
        size_bytes += operation.size_bytes
    if batch:
        yield batch


def _sorted(operations: Sequence[Operation], answers: Sequence[Answer], refusals: list[Refusal]) -> list[Operation]:
    """Count what came to an end, keep what was refused, and return what is to be tried again."""
    again: list[Operation] = []
    reasons: dict[str, str] = {}
    for operation, said in zip(operations, answers, strict=True):
        if said.result is Result.AGAIN:
            again.append(operation)
            reasons[said.reason] = said.message
            telemetry.RETRIES.labels("document", said.reason).inc()
            continue
        _count([(operation, said.result)])
        if said.result is Result.REFUSED:
            refusals.append(Refusal(operation, said.reason, said.message))
    for reason, message in reasons.items():
        log.warning("Elasticsearch takes %d documents later: %s %s", len(again), reason, message)
    return again


def _again(operations: list[Operation], reason: str, error: Exception) -> list[Operation]:
    telemetry.RETRIES.labels("request", reason).inc()
    log.warning("Elasticsearch takes nothing now, and is tried again: %s", error)
    return operations


def _count(ended: Iterable[tuple[Operation, Result]]) -> None:
    for operation, result in ended:
        telemetry.DOCUMENTS.labels(operation.kind, result.value).inc()

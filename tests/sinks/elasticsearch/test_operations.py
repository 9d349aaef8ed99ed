"""What becomes of a document by what the server says of it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from sinks.elasticsearch.config import Bulk
from sinks.elasticsearch.operations import Action, Operation, Place, Result, answer
from sinks.elasticsearch.writing import batched

PLACE = Place("abdrift.fleet.drift.v1", 3, 41, 1_000)
CREATE = Operation(Action.CREATE, "facts", "f1", PLACE, "drift", b"{}")
CURRENT = Operation(Action.INDEX, "current", "f1", PLACE, "current drift", b"{}", version=42)
DELETE = Operation(Action.DELETE, "current", "f1", PLACE, "current drift", version=43)


def item(operation: Operation, status: int, kind: str = "", **more: Any) -> dict[str, Any]:
    error = {"error": {"type": kind, "reason": "why", "caused_by": {"reason": "deeper"}}} if kind else {}
    return {operation.action.value: {"_index": "i-1", "status": status, **error, **more}}


@pytest.mark.parametrize(
    ("operation", "said", "result", "reason"),
    [
        (CREATE, item(CREATE, 201), Result.WRITTEN, ""),
        (CURRENT, item(CURRENT, 200), Result.WRITTEN, ""),
        (CREATE, item(CREATE, 409, "version_conflict_engine_exception"), Result.PRESENT, ""),
        (CURRENT, item(CURRENT, 409, "version_conflict_engine_exception"), Result.SUPERSEDED, ""),
        (DELETE, item(DELETE, 200), Result.WRITTEN, ""),
        (DELETE, item(DELETE, 404), Result.WRITTEN, ""),
        (DELETE, item(DELETE, 404, "index_not_found_exception"), Result.AGAIN, "404"),
        (CREATE, item(CREATE, 429, "es_rejected_execution_exception"), Result.AGAIN, "429"),
        (CREATE, item(CREATE, 503, "unavailable_shards_exception"), Result.AGAIN, "503"),
        (CREATE, item(CREATE, 500, "some_bug"), Result.AGAIN, "500"),
        (CREATE, item(CREATE, 403, "security_exception"), Result.AGAIN, "403"),
        (CREATE, item(CREATE, 404, "index_not_found_exception"), Result.AGAIN, "404"),
        (CREATE, item(CREATE, 400, "validation_exception"), Result.AGAIN, "400"),
        (CREATE, item(CREATE, 400, "document_parsing_exception"), Result.REFUSED, "unmappable"),
        (CREATE, item(CREATE, 413, "too_large"), Result.REFUSED, "too-large"),
    ],
    ids=lambda value: str(value) if isinstance(value, Result | str) else "",
)
def test_what_an_answer_means(operation: Operation, said: dict[str, Any], result: Result, reason: str) -> None:
    meant = answer(operation, said)
    assert (meant.result, meant.reason) == (result, reason)


def test_a_refusal_says_why() -> None:
    assert answer(CREATE, item(CREATE, 400, "document_parsing_exception")).message == (
        "document_parsing_exception: why: deeper"
    )


@pytest.mark.parametrize(
    ("operation", "lines"),
    [
        (CREATE, [{"create": {"_index": "facts", "_id": "f1"}}, {}]),
        (CURRENT, [{"index": {"_index": "current", "_id": "f1", "version": 42, "version_type": "external"}}, {}]),
        (DELETE, [{"delete": {"_index": "current", "_id": "f1", "version": 43, "version_type": "external"}}]),
    ],
    ids=[operation.action for operation in (CREATE, CURRENT, DELETE)],
)
def test_its_lines_of_a_request(operation: Operation, lines: list[Any]) -> None:
    assert [orjson.loads(line) for line in operation.lines()] == lines


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ([1] * 5, [2, 2, 1]),
        ([40_000, 40_000, 1], [1, 2]),
        ([500_000, 1], [1, 1]),
        ([], []),
    ],
    ids=["by count", "by bytes", "one too large goes alone", "none"],
)
def test_a_request_is_bounded(sizes: list[int], batches: list[int]) -> None:
    bulk = Bulk(documents=2, size_bytes=65_536)
    operations = [Operation(Action.CREATE, "i", "x", PLACE, "k", b"x" * size) for size in sizes]
    assert [len(batch) for batch in batched(operations, bulk)] == batches

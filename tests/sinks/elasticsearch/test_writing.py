"""What a writer does about whole requests that fail, with a server that is only a table of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from elastic_transport import ConnectionTimeout

from sinks.elasticsearch import sink
from sinks.elasticsearch.config import Bulk
from sinks.elasticsearch.operations import Action, Operation, Place
from sinks.elasticsearch.writing import Refusal, Writer
from tests.sinks.elasticsearch.failing import failed

if TYPE_CHECKING:
    from abdrift.letters import Letter

QUICK = Bulk(backoff_initial_seconds=0.001, backoff_max_seconds=0.002)


class Server:
    """Takes at most `most` documents in one request, after it has failed as told."""

    def __init__(self, *failures: Exception, most: int = 100, item_status: int = 201) -> None:
        self.failures = list(failures)
        self.most = most
        self.item_status = item_status
        self.taken: list[str] = []
        self.refreshed: bool | None = None

    async def bulk(self, operations: list[bytes], refresh: bool | None) -> dict[str, Any]:
        self.refreshed = refresh
        if self.failures:
            raise self.failures.pop(0)
        actions = [orjson.loads(line) for line in operations[::2]]
        if len(actions) > self.most:
            raise failed(413)
        self.taken += [action["create"]["_id"] for action in actions]
        return {"items": [{"create": {"_index": "i", "status": self.item_status}} for _ in actions]}


def operations(count: int, offset: int = 0) -> list[Operation]:
    return [
        Operation(Action.CREATE, "i", str(number), Place("t", 0, offset, 0, number), "k", b"{}")
        for number in range(count)
    ]


@pytest.mark.parametrize(
    "failures",
    [(failed(429), failed(503)), (failed(401), failed(403)), (ConnectionTimeout("late"), failed(502))],
    ids=["busy", "not let in", "away"],
)
async def test_a_request_is_sent_until_it_is_answered(failures: tuple[Exception, ...]) -> None:
    server = Server(*failures)
    assert await Writer(server, QUICK).write(operations(3)) == []  # type: ignore[arg-type]
    assert server.taken == ["0", "1", "2"]


@pytest.mark.parametrize(("refreshes", "asked"), [(False, None), (True, True)], ids=["when it likes", "at once"])
async def test_searches_find_what_was_written_as_soon_as_is_wanted(refreshes: bool, asked: bool | None) -> None:
    server = Server()
    await Writer(server, QUICK, refreshes=refreshes).write(operations(1))  # type: ignore[arg-type]
    assert server.refreshed is asked


async def test_a_request_that_is_too_large_is_sent_in_parts() -> None:
    server = Server(most=2)
    assert await Writer(server, QUICK).write(operations(5)) == []  # type: ignore[arg-type]
    assert sorted(server.taken) == ["0", "1", "2", "3", "4"]


async def test_a_document_that_is_too_large_alone_is_refused() -> None:
    (refusal,) = await Writer(Server(most=0), QUICK).write(operations(1))  # type: ignore[arg-type]
    assert refusal.reason == "too-large"


async def test_what_is_refused_is_told_once() -> None:
    refusals = await Writer(Server(item_status=400), QUICK).write(operations(2))  # type: ignore[arg-type]
    assert [refusal.operation.id for refusal in refusals] == ["0", "1"]


def letters(refused: list[Operation]) -> list[Letter]:
    return sink._of_refusals([Refusal(one, "unmappable", "why") for one in refused])


def test_a_fact_that_is_refused_in_two_indices_has_one_letter() -> None:
    place = Place("t", 0, 4, 0)
    twice = [Operation(Action.CREATE, index, "f", place, "k", b"doc", b"origin") for index in ("facts", "current")]
    (letter,) = letters(twice)
    assert (letter.value, letter.offset, letter.row) == (b"origin", 4, None)


def test_a_frame_of_bad_rows_has_a_bounded_number_of_letters() -> None:
    found = letters(operations(150) + operations(2, offset=1))
    assert len(found) == 102
    assert (found[0].value, found[0].row, found[-1].offset) == (b"{}", 0, 1)

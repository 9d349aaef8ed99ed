"""One document's way into Elasticsearch: the lines of a bulk request, and what its answer means."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

import orjson

_CONFLICT: Final = 409
_GONE: Final = 404
_TOO_LARGE: Final = 413
_BAD: Final = 400
_OPERATORS: Final = frozenset({"validation_exception", "cluster_block_exception", "index_closed_exception"})
"""What a 400 says of the cluster rather than of the document: no room for shards, a block, a closed index."""


class Action(StrEnum):
    """What is done with a document."""

    CREATE = "create"
    """Written unless its id is there."""
    INDEX = "index"
    """Written over an older version."""
    DELETE = "delete"


class Place(NamedTuple):
    """Where in Kafka a document comes from. A tuple: there is one a row."""

    topic: str
    partition: int
    offset: int
    append_ms: int
    row: int | None = None
    """Within a frame."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What is to be done, encoded."""

    action: Action
    index: str
    id: str
    place: Place
    kind: str
    """What is counted: a fact's noun, `events` or `logs`; with `current` before it where it is one of those."""
    body: bytes = b""
    origin: bytes = b""
    """The record it was made from, for a dead letter; of a row nothing, as its frame is shared."""
    version: int | None = None
    """Of a current document: it replaces only lower ones."""
    is_streamed: bool = False
    """Whether the index is a data stream, whose ids are unique within a backing index only."""

    def lines(self) -> tuple[bytes, ...]:
        """Return its lines of a bulk request."""
        target: dict[str, Any] = {"_index": self.index, "_id": self.id}
        if self.version is not None:
            target |= {"version": self.version, "version_type": "external"}
        head = orjson.dumps({self.action.value: target})
        return (head,) if self.action is Action.DELETE else (head, self.body)

    @property
    def size_bytes(self) -> int:
        """About what it takes in a request."""
        return len(self.body) + len(self.index) + len(self.id) + 64


class Result(StrEnum):
    """What came of a document."""

    WRITTEN = "written"
    PRESENT = "present"
    SUPERSEDED = "superseded"
    REFUSED = "refused"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says of one document."""

    result: Result
    index: str = ""
    """Where it is, of one that was written: of a data stream, the backing index."""
    reason: str = ""
    """A stable kebab-case word, of one that was refused or is to be tried again."""
    message: str = ""


def answer(operation: Operation, item: dict[str, Any]) -> Answer:
    """Return what one item of a bulk answer means.

    A document is refused only for what it holds. What the cluster cannot take now, or does not let this client do, is
    tried again: it is for an operator to mend, and facts must not be lost meanwhile.
    """
    (said,) = item.values()
    status = said["status"]
    error = said.get("error") or {}
    kind, message = error.get("type", ""), _message(error)
    if status < 300:  # noqa: PLR2004  HTTP's successes
        return Answer(Result.WRITTEN, said["_index"])
    if status == _CONFLICT:
        return Answer(Result.SUPERSEDED if operation.version is not None else Result.PRESENT)
    if status == _GONE and operation.action is Action.DELETE and not error:
        return Answer(Result.WRITTEN, said["_index"])
    if status == _TOO_LARGE:
        return Answer(Result.REFUSED, reason="too-large", message=message)
    if status == _BAD and kind not in _OPERATORS:
        return Answer(Result.REFUSED, reason="unmappable", message=message)
    return Answer(Result.AGAIN, reason=str(status), message=message)


def _message(error: dict[str, Any]) -> str:
    cause = error.get("caused_by") or {}
    texts = (error.get("type"), error.get("reason"), cause.get("reason"))
    return ": ".join(text for text in texts if text)[:2_000]

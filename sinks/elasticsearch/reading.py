"""Records of Kafka as operations, one after another: a frame of a million rows is never a million documents at once."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from aiokafka import ConsumerRecord
from pydantic import ValidationError

from abdrift import frames
from abdrift.clock import ClockMs, parse_rfc3339_ms, to_datetime
from abdrift.cloudevents import CloudEvent
from abdrift.latest import is_tick
from abdrift.letters import Letter
from abdrift.signals import events, logs
from abdrift.topics import EVENTS, FLEET_POLICY, LOGS
from sinks.elasticsearch import indices, telemetry
from sinks.elasticsearch.config import ElasticsearchConfig, Events, Logs, Stream
from sinks.elasticsearch.documents import facts, signals
from sinks.elasticsearch.documents.parts import encoded
from sinks.elasticsearch.operations import Action, Operation, Place
from sinks.elasticsearch.places import Places

_SLICE_ROWS: Final = 1_000
_MOST_ID_BYTES: Final = 512
"""Elasticsearch's own limit."""
MOST_LETTERS: Final = 100
"""About rows of one record."""

CURRENT: Final = frozenset(
    noun for noun, topic in indices.FACT_TOPICS.items() if topic.compacted and topic is not FLEET_POLICY
)
"""Topics whose newest facts have an index. A policy has a copy in every partition, whose offsets tell no order."""

Found = Iterator[Operation | Letter]


class FactsReader:
    """Reads public topics."""

    def __init__(self, config: ElasticsearchConfig, places: Places, clock: ClockMs) -> None:
        self._places = places
        self._only_current = config.facts.only_current
        self._retention_days = config.facts.retention_days
        self._clock = clock
        self._nouns = {indices.FACT_TOPICS[noun].name: noun for noun in config.facts.topics}

    @property
    def topics(self) -> list[str]:
        """Their names."""
        return list(self._nouns)

    def __call__(self, record: ConsumerRecord) -> Found:
        """Yield what becomes of a record."""
        noun, place = self._nouns[record.topic], _place(record)
        if record.value is None:
            if record.key and noun in CURRENT and not is_tick(record):
                yield _current(Action.DELETE, noun, record, place)
            else:
                telemetry.PASSED_OVER.labels(record.topic, "tick").inc()
            return
        try:
            yield from self._fact(record, noun, place)
        # TypeError: a number that no JSON encoder writes. OverflowError: a time that no calendar has.
        except (ValidationError, ValueError, TypeError, OverflowError) as error:
            yield _letter(record, "bad-event", _in_words(error))

    def _fact(self, record: ConsumerRecord, noun: str, place: Place) -> list[Operation]:
        event = CloudEvent.decode(record.value)
        fields = facts.document(event, noun, record.timestamp)
        if fields is None:
            telemetry.PASSED_OVER.labels(record.topic, "unknown-type").inc()
            return []
        # What a fact says of its cluster itself goes before what is known of it.
        fields = self._places.fields(fields.get("orchestrator.cluster.name")) | fields
        body, time = encoded(fields), to_datetime(parse_rfc3339_ms(event.time) or 0)
        current = [_current(Action.INDEX, noun, record, place, body)] if noun in CURRENT and record.key else []
        if noun in self._only_current:
            return current
        if indices.is_past(time, to_datetime(self._clock()), self._retention_days):
            telemetry.PASSED_OVER.labels(record.topic, "older-than-retention").inc()
            return current
        index = indices.facts_index(noun, time)
        return [*current, Operation(Action.CREATE, index, _id(event.id), place, noun, body, record.value)]


class SignalsReader:
    """Reads Events and log lines, of which it chooses some."""

    def __init__(self, config: ElasticsearchConfig, places: Places) -> None:
        self._places = places
        self._streams: dict[str, Stream] = {
            topic.name: stream for topic, stream in ((EVENTS, config.events), (LOGS, config.logs)) if stream.enabled
        }

    @property
    def topics(self) -> list[str]:
        """The names of the topics; none where nothing is enabled."""
        return list(self._streams)

    def __call__(self, record: ConsumerRecord) -> Found:
        """Yield what becomes of a record. Of rows that cannot be written, the first have letters."""
        if is_tick(record):
            telemetry.PASSED_OVER.labels(record.topic, "tick").inc()
            return
        bad_rows = 0
        try:
            for one in self._documents(record):
                if isinstance(one, Letter):
                    bad_rows += 1
                if bad_rows <= MOST_LETTERS or isinstance(one, Operation):
                    yield one
        except frames.BadFrame as error:
            yield _letter(record, error.reason, str(error))
        except (pa.ArrowException, ValueError) as error:  # text that is no UTF-8, seen where a column is read
            yield _letter(record, "bad-frame", str(error))
        if bad_rows > MOST_LETTERS:
            yield _letter(record, "bad-row", f"{bad_rows} rows are bad, of which {MOST_LETTERS} have letters")

    def _documents(self, record: ConsumerRecord) -> Found:
        stream = self._streams[record.topic]
        batch = frames.decode(record.value or b"", record.headers).batch
        wanted = _chosen(batch, stream)
        telemetry.PASSED_OVER.labels(record.topic, "not-chosen").inc(batch.num_rows - len(wanted))
        for begin in range(0, len(wanted), _SLICE_ROWS):
            rows = wanted[begin : begin + _SLICE_ROWS]
            yield from self._rows(record, batch.take(pa.array(rows)), rows.tolist(), stream)

    def _rows(self, record: ConsumerRecord, batch: pa.RecordBatch, numbers: Sequence[int], stream: Stream) -> Found:
        namespace = stream.data_stream_namespace
        is_events = isinstance(stream, Events)
        dataset = indices.EVENTS_DATASET if is_events else indices.LOGS_DATASET
        index = indices.data_stream(dataset, namespace)
        for number, row in zip(numbers, (events if is_events else logs).rows_of(batch), strict=True):
            if not stream.has(row.cluster, row.namespace):
                telemetry.PASSED_OVER.labels(record.topic, "not-chosen").inc()
                continue
            place = _place(record, number)
            try:
                body = encoded(self._places.fields(row.cluster) | signals.document(row, namespace, dataset))
            except (ValueError, TypeError, OverflowError) as error:
                yield replace(_letter(record, "bad-row", str(error)), value=b"", row=number)
                continue
            yield Operation(Action.CREATE, index, _row_id(place), place, dataset, body, is_streamed=True)


def _chosen(batch: pa.RecordBatch, stream: Stream) -> Any:
    """Return the numbers of the rows whose type or severity is wanted."""
    match stream:
        case Events(types=values):
            column = "type"
        case Logs(severities=values):
            column = "severity"
        case _:
            raise AssertionError(f"{stream!r} is no stream")
    texts = batch.column(column).dictionary_decode()
    return np.flatnonzero(pc.is_in(texts, value_set=pa.array(values, pa.string())).to_numpy(zero_copy_only=False))


def _row_id(place: Place) -> str:
    """Return a row's id: its place, with the time at which Kafka took it, for a topic that is made anew counts anew."""
    noun = place.topic.removeprefix("abdrift.signals.").removesuffix(".v1")
    return f"{noun}-{place.partition}-{place.offset}-{place.append_ms:x}-{place.row}"


def _place(record: ConsumerRecord, row: int | None = None) -> Place:
    return Place(record.topic, record.partition, record.offset, record.timestamp, row)


def _current(action: Action, noun: str, record: ConsumerRecord, place: Place, body: bytes = b"") -> Operation:
    return Operation(
        action,
        indices.current_index(noun),
        _id(record.key.decode(errors="replace")),
        place,
        f"current {noun}",
        body,
        record.value or b"",
        version=record.offset + 1,
    )


def _id(text: str) -> str:
    """Return an id that Elasticsearch takes."""
    encoded_id = text.encode()
    return text if len(encoded_id) <= _MOST_ID_BYTES else hashlib.sha256(encoded_id).hexdigest()


def _letter(record: ConsumerRecord, reason: str, message: str) -> Letter:
    return Letter(record.topic, reason, message, record.value or b"", record.key, record.partition, record.offset)


def _in_words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return str(error.errors(include_input=False, include_url=False))[:2_000]
    return str(error)

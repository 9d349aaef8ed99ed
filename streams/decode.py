"""From a Kafka record to a step's `Input`, or to a dead letter that keeps what could not be read.

Pure: no I/O and no clock. A record is decoded by what its topic carries: a frame, a CloudEvent or its tombstone. A
tick, which only carries the clock on, may stand on any topic and is told by its header.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from abdrift import frames
from abdrift.clock import to_datetime
from abdrift.cloudevents import CloudEvent
from abdrift.facts.dead_letter import DeadLetter, as_kept
from abdrift.topics import DEAD_LETTER, DEAD_LETTERS, Format
from streams.step import Cause, Input, Outgoing, Refused, fact_id

KIND_HEADER: Final = "abdrift-kind"
ROWS_HEADER: Final = "abdrift-rows"
TICK_KEY: Final = b"abdrift-tick"
TICK_HEADERS: Final = ((KIND_HEADER, b"tick"),)

MAX_KEPT_BYTES: Final = 8 * 1024 * 1024
"""Of a dead record's value; in base64 it still fits a record of the dead letters' topic. A record beyond that is larger
than any topic of ours takes."""

MAX_LETTERS_A_RECORD: Final = 100
"""A frame of a million bad rows gives this many letters; the last one says how many rows it stands for."""


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record as it came."""

    topic: str
    partition: int
    offset: int
    append_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, without the headers."""
        return len(self.key or b"") + len(self.value or b"")

    @property
    def rows_promised(self) -> int:
        """The rows its header speaks of; 0 where it has none. Good enough to bound a batch before decoding."""
        promised = dict(self.headers).get(ROWS_HEADER, b"")
        return int(promised) if promised.isdigit() else 0

    @property
    def is_tick(self) -> bool:
        """Whether it only carries the clock on."""
        return self.value is None and (KIND_HEADER, b"tick") in self.headers

    @property
    def cause(self) -> Cause:
        """The record as the cause of a fact."""
        return Cause(self.topic, self.partition, self.offset)


def decode(
    record: Record, formats: Mapping[str, Format], columns: Mapping[str, Sequence[str]] | None = None
) -> Input | Refused:
    """Decode a record by its topic's format.

    Args:
        record: As it came.
        formats: What each input topic carries, by its name.
        columns: Which columns of its frames are wanted, by a topic's name; all where it has none.

    """
    plain = Input(record.topic, record.partition, record.offset, record.append_ms)
    if record.is_tick:
        return plain
    frame: frames.Frame | None = None
    event: CloudEvent | None = None
    try:
        key = None if record.key is None else record.key.decode()
        if formats[record.topic] is Format.FRAME:
            wanted = None if columns is None else columns.get(record.topic)
            frame = frames.decode(record.value or b"", record.headers, wanted)
        elif record.value is not None:
            event = CloudEvent.decode(record.value)
        elif key is None:
            return Refused(record.cause, "bad-event", "neither a key nor a value")
    except frames.BadFrame as error:
        return Refused(record.cause, error.reason, str(error))
    except UnicodeDecodeError as error:
        return Refused(record.cause, "bad-key", f"the key is no UTF-8: {error}")
    except ValidationError as error:
        return Refused(record.cause, "bad-event", f"no CloudEvent: {error.errors(include_input=False)}")
    return Input(
        record.topic,
        record.partition,
        record.offset,
        record.append_ms,
        key=key,
        frame=frame,
        event=event,
        tombstone=frame is None and event is None,
    )


def dead_letters(
    step: str, refused: Iterable[Refused], records: Mapping[tuple[str, int], Record], now_ms: int
) -> list[Outgoing]:
    """Return the letters for what a step, or the decoding before it, refused.

    A record's bytes go with the first of its letters. The same refusal gives the same id, however often it is read.

    Args:
        step: Who refused.
        refused: What, in order.
        records: The batch's records by topic and offset.
        now_ms: When it was refused.

    """
    letters: list[Outgoing] = []
    by_record: dict[tuple[str, int], list[Refused]] = {}
    for one in refused:
        by_record.setdefault((one.cause.topic, one.cause.offset), []).append(one)
    for position, of_record in by_record.items():
        kept = of_record[:MAX_LETTERS_A_RECORD]
        for index, one in enumerate(kept):
            more = len(of_record) - len(kept) if index == len(kept) - 1 else 0
            letters.append(_letter(step, one, records.get(position) if index == 0 else None, more, now_ms))
    return letters


def _letter(step: str, refused: Refused, record: Record | None, more: int, now_ms: int) -> Outgoing:
    cause = refused.cause
    message = refused.message
    if more:
        message += f" (and {more} more rows of this record)"
    at = to_datetime(now_ms)
    data = DeadLetter(
        topic=cause.topic,
        partition=cause.partition,
        offset=cause.offset,
        row=cause.row if record is None or _has_rows(record) else None,
        reason=refused.reason,
        message=message,
        refused_by=step,
        refused_at=at,
        key_base64=as_kept(record.key, MAX_KEPT_BYTES) if record else None,
        value_base64=as_kept(record.value, MAX_KEPT_BYTES) if record else None,
        headers={name: as_kept(value, MAX_KEPT_BYTES) or "" for name, value in record.headers} if record else {},
    )
    event = DEAD_LETTER.event(
        cause.topic,
        data,
        event_id=fact_id(cause.topic, f"{DEAD_LETTER.name}/{step}", cause),
        source=f"/abdrift/streams/{step}",
        at=at,
    )
    return Outgoing(DEAD_LETTERS, cause.topic, cause.topic, event)


def _has_rows(record: Record) -> bool:
    return any(name == ROWS_HEADER for name, _ in record.headers)

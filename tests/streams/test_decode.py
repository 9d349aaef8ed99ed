"""From Kafka records to inputs, and what is kept of those that cannot be read."""

import base64

import pytest

from abdrift import frames, topics
from abdrift.cloudevents import CloudEvent
from abdrift.facts.dead_letter import DeadLetter
from abdrift.signals.events import EVENTS
from streams.decode import MAX_KEPT_BYTES, MAX_LETTERS_A_RECORD, TICK_HEADERS, Record, dead_letters, decode
from streams.step import Cause, Input, Refused

FORMATS = {"frames": topics.Format.FRAME, "facts": topics.Format.CLOUDEVENT}

EVENT = CloudEvent(
    id="1", source="/tests", type="dev.abdrift.test.v1", subject="s", time="2026-01-01T00:00:00.000Z", data={"n": 1}
)


def record(
    topic: str = "facts",
    value: bytes | None = b"",
    key: bytes | None = None,
    headers: tuple[tuple[str, bytes], ...] = (),
    offset: int = 7,
) -> Record:
    return Record(topic, 3, offset, 1_000, key, value, headers)


def test_an_event_comes_with_its_place_and_time() -> None:
    assert decode(record(value=EVENT.encode(), key=b"k"), FORMATS) == Input("facts", 3, 7, 1_000, key="k", event=EVENT)


def test_a_tombstone_is_told_from_a_tick() -> None:
    tombstone = decode(record(value=None, key=b"k"), FORMATS)
    assert isinstance(tombstone, Input)
    assert (tombstone.tombstone, tombstone.is_tick) == (True, False)
    for topic in FORMATS:
        tick = decode(record(topic, value=None, key=b"abdrift-tick", headers=TICK_HEADERS), FORMATS)
        assert isinstance(tick, Input)
        assert (tick.tombstone, tick.is_tick, tick.append_ms) == (False, True, 1_000)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        pytest.param(record(value=b"{"), "bad-event", id="no-json"),
        pytest.param(record(value=b"{}"), "bad-event", id="no-cloudevent"),
        pytest.param(record(value=EVENT.encode(), key=b"\xff"), "bad-key", id="key-no-utf8"),
        pytest.param(record(value=None), "bad-event", id="neither-key-nor-value"),
        pytest.param(record("frames", b"x"), "unknown-signal", id="frame-without-headers"),
        pytest.param(record("frames", None), "unknown-signal", id="frame-without-value"),
        pytest.param(
            record("frames", b"x", headers=(("abdrift-signal", b"events"), ("abdrift-version", b"99"))),
            "unknown-version",
            id="frame-of-tomorrow",
        ),
        pytest.param(
            record(
                "frames",
                b"x",
                headers=(("abdrift-signal", b"events"), ("abdrift-version", b"%d" % EVENTS.version)),
            ),
            "bad-checksum",
            id="frame-damaged",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(bad: Record, reason: str) -> None:
    refused = decode(bad, FORMATS)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.cause) == (reason, Cause(bad.topic, 3, 7))


def test_rows_promised_bounds_a_batch_before_it_is_decoded() -> None:
    assert record(headers=(("abdrift-rows", b"250"),)).rows_promised == 250
    assert record(headers=(("abdrift-rows", b"many"),)).rows_promised == 0
    assert record().rows_promised == 0


def letter(refused: list[Refused], records: list[Record]) -> list[DeadLetter]:
    made = dead_letters("drift", refused, {(r.topic, r.offset): r for r in records}, 5_000)
    return [DeadLetter.model_validate(one.event.data) for one in made if one.event]


def test_a_letter_keeps_the_record_whole() -> None:
    bad = record(value=b"\x00bytes", key=b"k", headers=(("h", b"\xff"),))
    (kept,) = letter([Refused(bad.cause, "bad-event", "why")], [bad])
    assert (kept.topic, kept.partition, kept.offset, kept.row) == ("facts", 3, 7, None)
    assert (kept.reason, kept.message, kept.refused_by) == ("bad-event", "why", "drift")
    assert base64.b64decode(kept.value_base64 or "") == b"\x00bytes"
    assert base64.b64decode(kept.key_base64 or "") == b"k"
    assert kept.headers == {"h": "/w=="}


def test_many_bad_rows_of_one_record_carry_its_bytes_once_and_are_all_accounted_for() -> None:
    bad = record("frames", b"frame", headers=(("abdrift-rows", b"1000"),))
    letters = letter([Refused(Cause("frames", 3, 7, row), "bad-row", "why") for row in range(1000)], [bad])
    assert len(letters) == MAX_LETTERS_A_RECORD
    assert [one.row for one in letters] == list(range(MAX_LETTERS_A_RECORD))
    assert [one.value_base64 is not None for one in letters] == [True] + [False] * (MAX_LETTERS_A_RECORD - 1)
    assert f"and {1000 - MAX_LETTERS_A_RECORD} more rows" in letters[-1].message


def test_the_same_refusal_has_the_same_id_and_another_steps_has_another() -> None:
    bad = record(value=b"{")
    refused = [Refused(bad.cause, "bad-event", "why")]
    records = {("facts", 7): bad}
    ids = [
        one.event.id
        for step, now_ms in (("drift", 1), ("drift", 2), ("health", 1))
        for one in dead_letters(step, refused, records, now_ms)
        if one.event
    ]
    assert ids[0] == ids[1] != ids[2]


def test_the_largest_record_still_fits_the_dead_letters_topic() -> None:
    large = record("frames", b"x" * (MAX_KEPT_BYTES + 1))
    (one,) = dead_letters("drift", [Refused(large.cause, "too-large", "why")], {("frames", 7): large}, 0)
    assert one.event is not None
    assert len(one.event.encode()) < topics.DEAD_LETTERS.max_message_bytes - 100_000
    assert MAX_KEPT_BYTES >= frames.MAX_VALUE_BYTES

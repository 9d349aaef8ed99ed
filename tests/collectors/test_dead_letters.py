"""Dead letters: which id, how much of the bytes, and that none is lost to a broker that is away."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from abdrift.cloudevents import CloudEvent
from abdrift.letters import MAX_KEPT_BYTES, Letter
from collectors import dead_letters
from collectors.dead_letters import DeadLetters
from collectors.lanes import UnsendableError
from tests.collectors.recording import RecordingLetters


def lost() -> float:
    return REGISTRY.get_sample_value("abdrift_collector_dead_letters_total", {"source": "test", "reason": "lost"}) or 0


async def test_a_letter_is_sent_until_kafka_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "_RETRY_INITIAL_SECONDS", 0.001)
    kept = RecordingLetters([ConnectionError(), TimeoutError()])
    await DeadLetters(kept, 4, "test", lambda: 0).publish(
        [Letter("logs", "bad-json", "no JSON", b"{"), Letter("x", "r", "")]
    )
    assert sorted(kept.reasons) == ["bad-json", "r"]


async def test_what_kafka_will_never_take_is_counted() -> None:
    before = lost()
    kept = RecordingLetters([UnsendableError()])
    await DeadLetters(kept, 4, "test", lambda: 0).publish([Letter("logs", "bad-json", "")])
    assert not kept.letters
    assert lost() == before + 1


async def test_long_bytes_are_cut_and_it_is_said() -> None:
    kept = RecordingLetters()
    await DeadLetters(kept, 4, "test", lambda: 0).publish([Letter("logs", "r", "why", b"x" * (MAX_KEPT_BYTES + 7))])
    assert len(kept.values[0]) == MAX_KEPT_BYTES
    assert kept.letters[0].message == "why (its last 7 bytes are not kept)"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(
            Letter("t", "r", "", partition=1, offset=2), Letter("t", "r", "", partition=1, offset=2), True, id="record"
        ),
        pytest.param(
            Letter("t", "r", "", partition=1, offset=2),
            Letter("t", "s", "", partition=1, offset=2),
            False,
            id="reasons-of-a-record",
        ),
        pytest.param(Letter("t", "r", "", b"a"), Letter("t", "r", "", b"b"), False, id="bytes-of-no-record"),
    ],
)
async def test_a_record_read_again_gives_the_same_id(one: Letter, other: Letter, same: bool) -> None:
    ids: list[str] = []

    async def send(topic: str, partition: int, key: bytes, value: bytes, headers: object) -> None:
        ids.append(CloudEvent.decode(value).id)

    times = iter((0, 5_000))
    letters = DeadLetters(send, 4, "test", lambda: next(times))
    await letters.publish([one])
    await letters.publish([other])
    assert (ids[0] == ids[1]) is same

"""The engine on a real broker: Faust's traps, crashes at every stage, and owners that come back from the dead."""

import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from abdrift import topics
from abdrift.broker import EmbeddedBroker
from abdrift.kafka import KafkaSettings
from streams import running
from streams.settings import EngineSettings
from tests.streams.bench import PARTITIONS, WITHIN_SECONDS, Bench, bench, event_bytes, eventually
from tests.streams.counting import Counting

pytestmark = pytest.mark.parts

STOP_SECONDS = 120
SOME_TICKS = 6


@pytest.fixture
async def table(kafka: EmbeddedBroker, tmp_path: Path) -> AsyncIterator[Bench]:
    with bench(kafka.bootstrap_servers, tmp_path) as made:
        await made.create_topics()
        yield made


async def ended(worker: subprocess.Popen[bytes], timeout_seconds: float = STOP_SECONDS) -> int:
    return await asyncio.to_thread(worker.wait, timeout_seconds)


async def test_bad_records_are_kept_as_dead_letters_and_their_neighbours_go_on(table: Bench) -> None:
    await table.send(range(1, 40))
    offsets = {
        "bad-event": await table.send_raw("c1", b"no json", b"k"),
        "step-error": await table.send_raw("c1", event_bytes("c1", {"n": "raise"})),
        "bad-row": await table.send_raw("c1", event_bytes("c1", {"n": "refuse"})),
        "bad-key": await table.send_raw("c1", event_bytes("c1", {"n": 1}), b"\xff"),
    }
    await table.send(range(40, 60))
    table.start()
    await table.until_counted()
    await table.check()
    letters = [json.loads(r.value)["data"] for r in await table.records(topics.DEAD_LETTERS.name)]
    ours = {letter["reason"]: letter for letter in letters if letter["topic"] == table.step.input.name}
    assert {reason: letter["offset"] for reason, letter in ours.items()} == offsets
    assert base64.b64decode(ours["bad-event"]["value_base64"]) == b"no json"
    assert base64.b64decode(ours["bad-event"]["key_base64"]) == b"k"


KILLED_AT = {
    "between claims": ("claimed", 2),
    "before anything of a batch is written": ("processed", 3),
    "before the facts": ("redo", 3),
    "before the cells": ("facts", 7),
    "before the source is acknowledged": ("cells", 7),
    "between batches": ("acked", 3),
}


async def test_killed_at_any_stage_it_counts_exactly(kafka: EmbeddedBroker, tmp_path: Path) -> None:
    async def one(name: str, stage: str, times: int) -> None:
        with bench(kafka.bootstrap_servers, _folder(tmp_path, name)) as table:
            await table.create_topics()
            await table.send(range(1, 100))
            worker = table.start(signal_at=[stage, times, signal.SIGKILL])
            await _feed_until(table, 100, lambda: worker.poll() is not None)
            assert worker.returncode == -signal.SIGKILL, f"{name}\n{table.logs()}"
            table.start()
            await table.until_counted()
            await table.check()

    # Side by side, as most of the time goes by until Kafka gives the dead worker up.
    await asyncio.gather(*(one(name, *at) for name, at in KILLED_AT.items()))


async def test_workers_share_the_partitions_and_stop_in_order_when_told(table: Bench) -> None:
    feeding = asyncio.create_task(table.send(range(1, 400)))
    first = table.start("A")
    await eventually(lambda: _counted(table, 50))
    second = table.start("B")
    await feeding
    await table.until_counted()
    await eventually(lambda: _has(table, "B", "partition-taken"))
    await table.send(range(400, 800))
    first.terminate()
    assert await ended(first) == 0
    await table.send(range(800, 900))
    await table.until_counted()
    second.terminate()
    assert await ended(second) == 0
    await table.check()
    assert "intruder" not in table.log("A") + table.log("B"), "an orderly handover has no two writers"


STOPPED_AT = {
    "with a batch in memory": ("processed", 5),
    "with a commit made and its facts not published": ("redo", 5),
    "with facts published and cells not written": ("facts", 9),
    "with nothing at hand": ("acked", 5),
}


async def test_an_owner_that_wakes_after_its_session_changes_nothing(kafka: EmbeddedBroker, tmp_path: Path) -> None:
    async def one(name: str, stage: str, times: int) -> None:
        with bench(kafka.bootstrap_servers, _folder(tmp_path, name)) as table:
            await table.create_topics()
            first = table.start("A", signal_at=[stage, times, signal.SIGSTOP])
            number = await _feed_until(table, 1, lambda: _stopped(first))
            table.start("B")
            await table.until_counted()
            first.send_signal(signal.SIGCONT)
            # Back in the group; or ended, loudly, if a write of its was on the way for longer than it may be.
            number = await _feed_until(table, number, lambda: _taken_twice(table, "A") or bool(first.poll()))
            await table.send(range(number, number + 50))
            await table.until_counted()
            await table.check()
            if stage == "processed":
                assert "superseded" in table.log("A"), "its record came too late and it learned so"

    await asyncio.gather(*(one(name, *at) for name, at in STOPPED_AT.items()))


async def test_a_changelog_record_that_the_broker_refuses_stops_the_worker_and_loses_nothing(table: Bench) -> None:
    await table.send(range(1, 20))
    refusing = {"max.message.bytes": "50000"}
    worker = table.start(changelog=refusing)
    await table.until_counted()
    await table.send(range(20, 21), ballast_bytes=100_000)
    await table.send(range(21, 30))
    assert await ended(worker) != 0
    assert "EngineError: MessageSizeTooLarge" in table.log(), table.logs()
    (cause, _) = next((cause, n) for sent in table.sent.values() for cause, n in sent if n == 20)
    assert (await table.committed()).get(cause.partition, 0) <= cause.offset
    again = table.start()
    assert await ended(again) != 0, "it stops each time, rather than pass the record by"
    assert (await table.committed()).get(cause.partition, 0) <= cause.offset


async def test_a_broker_that_does_not_answer_stops_the_worker_and_costs_nothing(
    table: Bench, kafka: EmbeddedBroker
) -> None:
    # It stops by itself where its next write is the redo record.
    worker = table.start(signal_at=["processed", 5, signal.SIGSTOP], request_seconds=4.0, stop_seconds=2.0)
    await _feed_until(table, 1, lambda: _stopped(worker))
    assert kafka.pid
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        worker.send_signal(signal.SIGCONT)
        assert await ended(worker) > 0
    finally:
        os.kill(kafka.pid, signal.SIGCONT)
    assert re.search("EngineError: .*Time(d)?[oO]ut", table.log()), table.logs()
    table.start()
    await table.until_counted()
    await table.check()


async def test_a_broker_that_is_killed_and_comes_back_costs_nothing(table: Bench, kafka: EmbeddedBroker) -> None:
    worker = table.start()
    await _feed_until(table, 1, lambda: table.log().count("partition-taken") == PARTITIONS)
    feeding = asyncio.create_task(table.send(range(1000, 1300)))
    await asyncio.sleep(0.2)
    await asyncio.to_thread(kafka.kill)
    await asyncio.to_thread(kafka.start)
    await feeding
    await table.until_counted()
    await table.check()
    worker.terminate()
    assert await ended(worker) == 0


async def test_silent_partitions_get_ticks_and_busy_ones_do_not(table: Bench) -> None:
    ticks: list[Any] = []

    def by_partition() -> list[int]:
        return sorted(sum(tick.partition == number for tick in ticks) for number in range(PARTITIONS))

    async def ticked() -> bool:
        ticks[:] = [r for r in await table.records(table.step.input.name) if ("abdrift-kind", b"tick") in r.headers]
        return by_partition()[1] >= SOME_TICKS

    async with table.sending("c1"):
        table.start()
        await eventually(ticked)
    assert by_partition()[0] <= SOME_TICKS // 3, by_partition()
    assert all(r.value is None and r.key == b"abdrift-tick" for r in ticks)


async def test_what_was_there_before_the_start_is_told_from_what_came_after(table: Bench) -> None:
    await table.send(range(1, 30))
    table.start()
    await table.until_counted()
    await table.send(range(30, 60))
    await table.until_counted()
    facts = [json.loads(r.value) for r in await table.check()]
    restoring = {int(e["subject"].split("/")[1]): e["data"]["restoring"] for e in facts}
    assert {n for n, flag in restoring.items() if flag} == set(range(1, 30))


async def test_a_missing_topic_is_told_with_the_way_out(kafka: EmbeddedBroker, tmp_path: Path) -> None:
    settings = EngineSettings(KafkaSettings(bootstrap_servers=kafka.bootstrap_servers), tmp_path)
    with pytest.raises(running.EngineError, match="abdrift topics create"):
        await running.run([Counting("nowhere")], settings, stop=asyncio.Event())


def _folder(parent: Path, name: str) -> Path:
    made = parent / name.replace(" ", "-")
    made.mkdir()
    return made


async def _feed_until(table: Bench, number: int, holds: Callable[[], bool]) -> int:
    """Send events, a few at a time, until something has come about; return the next event's number."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"it did not come about\n{table.logs()}"
        await table.send(range(number, number + 5))
        number += 5
        await asyncio.sleep(0.1)
    return number


def _stopped(worker: subprocess.Popen[bytes]) -> bool:
    return Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def _counted(table: Bench, at_least: int) -> bool:
    return len(await table.records(table.step.output.name)) >= at_least


async def _has(table: Bench, name: str, text: str) -> bool:
    return text in table.log(name)


def _taken_twice(table: Bench, name: str) -> bool:
    return table.log(name).count("partition-taken") > PARTITIONS

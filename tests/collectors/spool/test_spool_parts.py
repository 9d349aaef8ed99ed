"""Kafka is away, and the agent is killed meanwhile: what it saw arrives, and in order."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import NewTopic

from abdrift import frames
from abdrift import kafka as clients
from abdrift.signals import objects
from tests.parts.waiting import WITHIN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from abdrift.broker import EmbeddedBroker

pytestmark = pytest.mark.parts


class Sender:
    """The program of `sender`."""

    def __init__(self, kafka: EmbeddedBroker, topic: str, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.collectors.spool.sender", kafka.bootstrap_servers, topic, str(folder)]
        self._program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, numbers: range) -> None:
        assert self._program.stdin
        assert self._program.stdout
        for number in numbers:
            self._program.stdin.write(f"{number}\n")
            self._program.stdin.flush()
            assert self._program.stdout.readline() == f"{number}\n"

    def kill(self) -> None:
        self._program.kill()
        self._program.wait()

    def finish(self) -> None:
        self._program.communicate(timeout=2 * WITHIN_SECONDS)
        assert self._program.returncode == 0


def rows_by_sequence(found: list[frames.Frame]) -> Iterator[str]:
    """Yield the rows' names, each epoch and sequence counted once, as readers do."""
    seen: set[tuple[int, int]] = set()
    for frame in found:
        part = frame.parts[0]
        if (part.epoch, part.sequence) not in seen:
            seen.add((part.epoch, part.sequence))
            yield from (row.name for row in objects.rows_of(frame.batch))


async def test_an_agent_that_is_cut_off_and_killed_delivers_everything_in_order(
    kafka: EmbeddedBroker, tmp_path: Path
) -> None:
    settings = clients.KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    topic = f"test-{secrets.token_hex(4)}"
    async with clients.admin(settings) as admin:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    sender = Sender(kafka, topic, tmp_path)
    await asyncio.to_thread(sender.say, range(30))
    await kafka.astop()
    await asyncio.to_thread(sender.say, range(30, 60))
    sender.kill()
    sender = Sender(kafka, topic, tmp_path)
    await asyncio.to_thread(sender.say, range(60, 90))
    await kafka.astart()
    await asyncio.to_thread(sender.say, range(90, 120))
    await asyncio.to_thread(sender.finish)

    found: list[frames.Frame] = []
    async with clients.consumer(settings, topic) as consumer, asyncio.timeout(WITHIN_SECONDS):
        while len(names := list(rows_by_sequence(found))) < 120:
            record = await consumer.getone()
            found.append(frames.decode(record.value, record.headers))
    assert names == [str(number) for number in range(120)]

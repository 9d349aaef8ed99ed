from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from collectors.spool.segments import Segments, SpooledFrame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEGMENT_BYTES = 1_000


def frame(number: int, size_bytes: int = 100) -> SpooledFrame:
    value = random.Random(number).randbytes(size_bytes)
    return SpooledFrame("abdrift.signals.events.v1", 3, b"%d" % number, value, (("abdrift-rows", b"2"),))


def opened(folder: Path) -> Segments:
    return Segments(folder, SEGMENT_BYTES)


def drained(queue: Segments, frames: int = 3) -> list[int]:
    numbers = []
    while batch := queue.read(frames):
        numbers += [int(each.key) for _, each in batch]
        queue.advance(batch[-1][0])
    return numbers


@contextmanager
def files_at_most(size_bytes: int) -> Iterator[None]:
    """Have the kernel refuse to let any file grow beyond this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_frames_come_back_in_order_and_whole(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    for number in range(50):
        queue.append(frame(number))
    assert [each for _, each in queue.read(50)] == [frame(n) for n in range(len(queue.read(50)))]
    assert drained(queue) == list(range(50))
    assert len(queue) == 0
    assert len(list(tmp_path.glob("*.frames"))) <= 1


@pytest.mark.parametrize("taken", [0, 1, 8, 9, 30])
def test_a_restart_goes_on_where_it_stood(tmp_path: Path, taken: int) -> None:
    queue = opened(tmp_path)
    for number in range(30):
        queue.append(frame(number))
    for _ in range(taken):
        queue.advance(queue.read(1)[0][0])
    again = opened(tmp_path)
    assert len(again) == len(queue)
    again.append(frame(30))
    assert drained(again) == list(range(taken, 31))


def test_a_record_torn_anywhere_is_cut_off_and_nothing_else(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    queue.append(frame(0))
    whole = len(queue)
    queue.append(frame(1))
    path = next(tmp_path.glob("*.frames"))
    content = path.read_bytes()
    for end in range(whole, len(content), 9):
        path.write_bytes(content[:end])
        again = opened(tmp_path)
        assert len(again) == whole
        again.append(frame(2))
        assert [int(each.key) for _, each in again.read(9)] == [0, 2]
        path.write_bytes(content)


def test_what_is_damaged_is_passed_over_and_counted(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    for number in range(20):
        queue.append(frame(number))
    first = min(tmp_path.glob("*.frames"))
    content = bytearray(first.read_bytes())
    lost = len(content) - len(content) // 8
    content[-lost + 20] ^= 0xFF
    first.write_bytes(content)
    numbers = drained(opened(tmp_path))
    assert numbers[0] == 0
    assert numbers[-1] == 19
    assert numbers == sorted(numbers)
    assert 0 < 20 - len(numbers) < 10

    again = opened(tmp_path / "other")
    again.append(frame(1))
    (tmp_path / "other" / "000000000000.frames").write_bytes(b"\xff" * 500)
    again = opened(tmp_path / "other")
    again.append(frame(2))
    assert drained(again) == [2]


def test_a_disk_that_refuses_leaves_what_was_there(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    queue.append(frame(0))
    with files_at_most(len(queue) + 50), pytest.raises(OSError, match="50 of"):
        queue.append(frame(1))
    queue.append(frame(2))
    assert drained(queue) == [0, 2]
    assert drained(opened(tmp_path)) == []


def test_the_oldest_file_can_be_given_up(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    for number in range(30):
        queue.append(frame(number))
    queue.advance(queue.read(1)[0][0])
    rows = queue.drop_oldest()
    left = drained(queue)
    assert left[0] > 1
    assert left == list(range(left[0], 30))
    assert rows == 2 * (left[0] - 1)


@pytest.mark.parametrize("text", ["", "x", "99 0", "0 99999", "-1 -5"])
def test_a_damaged_position_loses_nothing_that_is_there_to_be_read(tmp_path: Path, text: str) -> None:
    queue = opened(tmp_path)
    queue.append(frame(0))
    (tmp_path / "position").write_text(text)
    again = opened(tmp_path)
    again.append(frame(1))
    assert drained(again)[-1] == 1
    assert len(again) == 0


WRITER = """
import sys
from pathlib import Path
from collectors.spool.segments import Segments, SpooledFrame
queue = Segments(Path(sys.argv[1]), 20_000)
number = int(sys.argv[2])
while True:
    queue.append(SpooledFrame("t", 0, b"%d" % number, bytes(300), ()))
    print(number, flush=True)
    number += 1
"""


def test_what_was_kept_before_a_kill_is_there(tmp_path: Path) -> None:
    kept = -1
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(kept + 1)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout
        for _ in range(random.Random(kept).randrange(1, 200)):
            kept = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        told = writer.stdout.read().split()
        kept = int(told[-1]) if told else kept
        writer.wait()
        found = drained(opened(tmp_path), 1_000)
        assert found == list(range(found[0], found[-1] + 1))
        assert found[-1] >= kept
        kept = found[-1]

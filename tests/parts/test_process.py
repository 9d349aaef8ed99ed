"""How parts are started and ended, seen on small programs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.guard import Guard
from tests.parts.process import Part, PartFailedError, Program
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
STARTS_A_SLEEPER = f"""
import sys, time
from pathlib import Path
from tests.parts.guard import Guard
from tests.parts.process import Part, Program
part = Part(Program("sleeper", {SLEEPER!r}, Path(sys.argv[1]), lambda: True), Guard())
part.start()
print(part.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def guard() -> Iterator[Guard]:
    guard = Guard()
    yield guard
    guard.close()


def sleeper(guard: Guard, tmp_path: Path) -> Part:
    return Part(Program("sleeper", SLEEPER, tmp_path / "log", lambda: True), guard)


def lives(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be reaped does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


async def ended(pid: int) -> bool:
    return not lives(pid)


def test_a_part_dies_with_the_run_that_started_it(tmp_path: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", STARTS_A_SLEEPER, str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert run.stdout is not None
    pid = int(run.stdout.readline())
    assert lives(pid)
    run.kill()
    run.wait()
    run.stdout.close()
    asyncio.run(until(lambda: ended(pid), "the sleeper is killed"))


async def test_closing_the_guard_kills_what_was_not_stopped(tmp_path: Path) -> None:
    guard = Guard()
    part = sleeper(guard, tmp_path)
    part.start()
    pid = part.pid
    guard.close()
    await until(lambda: ended(pid), "the sleeper is killed")


def test_a_part_that_ends_early_is_reported_with_its_log(guard: Guard, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import sys; print('no such luck'); sys.exit(3)"]
    part = Part(Program("broken", argv, tmp_path / "log", lambda: False), guard)
    with pytest.raises(PartFailedError, match=r"broken ended with code 3:\nno such luck"):
        part.start()


def test_a_part_that_is_never_ready_is_given_up(guard: Guard, tmp_path: Path) -> None:
    part = Part(Program("mute", SLEEPER, tmp_path / "log", lambda: False), guard)
    part.launch()
    with pytest.raises(PartFailedError, match="mute was not ready in 0 s"):
        part.wait_ready(timeout_seconds=0)
    part.kill()


def test_a_paused_part_ends_in_order_when_told(guard: Guard, tmp_path: Path) -> None:
    log = tmp_path / "log"
    text = "import signal, sys; print('up', flush=True); signal.sigwait([signal.SIGTERM]); print('told')"
    blocked = f"import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); {text}"
    part = Part(Program("polite", [sys.executable, "-c", blocked], log, lambda: "up" in log.read_text()), guard)
    part.start()
    part.pause()
    assert part.running
    part.stop()
    assert part.log_tail() == "up\ntold"
    with pytest.raises(PartFailedError, match="polite is not running"):
        part.resume()


def test_a_restarted_part_is_another_process(guard: Guard, tmp_path: Path) -> None:
    part = sleeper(guard, tmp_path)
    part.start()
    first = part.pid
    part.restart()
    assert part.pid != first
    os.kill(part.pid, signal.SIGKILL)
    part.stop()


def test_a_part_gets_neither_proxies_nor_a_home(guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:1")
    argv = [sys.executable, "-c", "import os; print(os.environ.get('HTTPS_PROXY'), os.environ['HOME'])"]
    part = Part(Program("env", argv, tmp_path / "log", lambda: (tmp_path / "log").stat().st_size > 0), guard)
    part.start()
    assert part.log_tail() == f"None {tmp_path}"
    part.stop()

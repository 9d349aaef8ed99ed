"""The supervisor keeps real processes running, says why it gives up, and leaves none behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from abdrift.processes import READY_FILE_VARIABLE, ChildFailed, Patience, Program, Supervisor, tell_ready

PYTHON = (sys.executable, "-S", "-c")
QUICK = Patience(backoff_seconds=(0.01, 0.02), calm_seconds=60, stop_seconds=0.5)

READY = f"import os, pathlib; pathlib.Path(os.environ[{READY_FILE_VARIABLE!r}]).touch()\n"
SLEEP = READY + "import time; time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP
POLITE = (
    "import signal, sys\n"
    "import os; signal.signal(signal.SIGTERM, lambda *_: (print('bye', os.environ['ROLE'], flush=True), sys.exit()))\n"
    + SLEEP
)


def supervisor(tmp_path: Path, patience: Patience = QUICK, **programs: str) -> Supervisor:
    made = [Program(name, (code,), {"ROLE": name}) for name, code in programs.items()]
    return Supervisor(made, tmp_path / "logs", command=PYTHON, patience=patience)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(condition, seconds: float = 20) -> None:  # noqa: ANN001
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        await asyncio.sleep(0.02)


async def test_ready_children_run_and_stop_when_asked(tmp_path: Path) -> None:
    async with supervisor(tmp_path, a=POLITE, b=POLITE) as running:
        await running.wait_ready(20)
        pids = [running.pid("a"), running.pid("b")]
        assert all(map(is_alive, pids))
    assert not any(map(is_alive, pids))
    assert running.log_path("a").read_text() == "bye a\n"
    assert running.restarts == 0


async def test_a_child_that_is_killed_is_started_again(tmp_path: Path) -> None:
    async with supervisor(tmp_path, a=SLEEP, b=SLEEP) as running:
        await running.wait_ready(20)
        first, other = running.pid("a"), running.pid("b")
        os.kill(first, signal.SIGKILL)
        await until(lambda: running.restarts == 1)
        assert running.pid("a") != first
        assert running.pid("b") == other


async def test_one_childs_backoff_keeps_no_other_waiting(tmp_path: Path) -> None:
    patience = Patience(backoff_seconds=(60,), stop_seconds=0.5)
    patient = supervisor(tmp_path, patience, a="import sys; sys.exit(3)", b=SLEEP)
    async with patient as running:
        await until(lambda: running._children["a"].has_ended)
        first = running.pid("b")
        running._patience = QUICK
        await asyncio.sleep(0.3)
        os.kill(first, signal.SIGKILL)
        await until(lambda: running.pid("b") != first)


async def test_a_child_that_keeps_ending_is_given_up_with_the_end_of_its_log(tmp_path: Path) -> None:
    code = "print('x' * 10_000); print('no such broker', flush=True); import sys; sys.exit(7)"
    async with supervisor(tmp_path, a=SLEEP, b=code) as running:
        with pytest.raises(ChildFailed, match="b ended 3 times, the last with status 7") as given_up:
            await asyncio.wait_for(running.failed(), 20)
        assert "no such broker" in str(given_up.value)
        assert len(str(given_up.value)) < 5_000
        with pytest.raises(ChildFailed, match="b ended 3 times"):
            await running.wait_ready(20)
        pid = running.pid("a")
    assert not is_alive(pid)


TALKATIVE = READY + "import itertools\nfor n in itertools.count(): print(f'line {n:09}', flush=n % 100 == 0)"


async def test_a_childs_log_is_bounded_and_the_older_one_kept(tmp_path: Path) -> None:
    bound = 50_000
    chatty = [Program("a", (TALKATIVE,))]
    async with Supervisor(chatty, tmp_path, command=PYTHON, patience=QUICK, log_max_bytes=bound) as running:
        older = running.log_path("a").with_suffix(".log.1")
        await until(older.exists)
        first = older.read_bytes()[:20]
        await until(lambda: older.read_bytes()[:20] not in (b"", first))
    assert running.log_path("a").read_bytes()[:1] != b"\0", "the child appends after it was emptied"
    assert running.restarts == 0


async def test_a_log_that_somebody_removed_ends_nobody(tmp_path: Path) -> None:
    async with supervisor(tmp_path, a=SLEEP) as running:
        await running.wait_ready(20)
        running.log_path("a").unlink()
        await asyncio.sleep(0.3)
        assert not running._children["a"].has_ended
        assert running._keeping
        assert not running._keeping.done()


async def test_a_child_that_is_never_ready_is_named(tmp_path: Path) -> None:
    async with supervisor(tmp_path, a=SLEEP, slow="import time; time.sleep(60)") as running:
        with pytest.raises(ChildFailed, match=r"slow not ready after 0\.3 s"):
            await running.wait_ready(0.3)


async def test_a_child_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    async with supervisor(tmp_path, a=STUBBORN) as running:
        await running.wait_ready(20)
        pid = running.pid("a")
    assert not is_alive(pid)


async def test_a_ready_file_of_an_earlier_run_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.ready").touch()
    async with supervisor(tmp_path, a="import time; time.sleep(60)") as running:
        with pytest.raises(ChildFailed, match="a not ready"):
            await running.wait_ready(0.2)


async def test_what_cannot_be_started_leaves_nothing_running(tmp_path: Path) -> None:
    broken = supervisor(tmp_path, a=SLEEP, b=SLEEP)
    (tmp_path / "logs" / "b.log").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        await broken.__aenter__()
    assert not is_alive(broken.pid("a"))


def test_children_end_with_their_parent_however_it_ends(tmp_path: Path) -> None:
    code = textwrap.dedent(f"""
        import asyncio, pathlib
        from abdrift.processes import Program, Supervisor
        async def main():
            programs = [Program("a", ({STUBBORN!r},))]
            async with Supervisor(programs, pathlib.Path({str(tmp_path)!r}), command={PYTHON!r}) as running:
                await running.wait_ready(20)
                print(running.pid("a"), flush=True)
                await running.failed()
        asyncio.run(main())
    """)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
    asyncio.run(until(lambda: not is_alive(child)))


def test_telling_that_one_is_ready_needs_someone_who_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(READY_FILE_VARIABLE, raising=False)
    tell_ready()
    monkeypatch.setenv(READY_FILE_VARIABLE, str(tmp_path / "ready"))
    tell_ready()
    assert (tmp_path / "ready").exists()

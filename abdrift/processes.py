"""Children that never outlive their parent, and a supervisor that keeps a set of them running.

A child is tied to this process by the kernel (PR_SET_PDEATHSIG), so that nothing is left behind even after a kill -9.
A child tells that it is ready by creating the file named in `ABDRIFT_READY_FILE`.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from abdrift.tied import TiedProcess

log = logging.getLogger(__name__)

READY_FILE_VARIABLE = "ABDRIFT_READY_FILE"
_BACKOFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
_CALM_SECONDS = 60.0
_STOP_SECONDS = 15.0
_TAIL_BYTES = 4_000


class ChildFailed(RuntimeError):  # noqa: N818  named for what happened
    """A child that keeps ending; the message holds the end of its log."""


def tell_ready() -> None:
    """Tell the parent, if there is one that asked, that this process is ready to work."""
    named = os.environ.get(READY_FILE_VARIABLE)
    if named:
        Path(named).touch()


@dataclass(frozen=True, slots=True)
class Program:
    """One child to keep running: the arguments of the command `abdrift`, and what its environment adds."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Child:
    program: Program
    process: TiedProcess
    started_seconds: float
    restarts: int = 0


class Supervisor:
    """Keeps programs running until it is left. Use as an async context manager."""

    def __init__(self, programs: Sequence[Program], directory: Path) -> None:
        """Take the programs in the order to start them; logs and ready files go into `directory`."""
        self._programs = tuple(programs)
        self._directory = directory
        self._children: dict[str, _Child] = {}
        self._watching: asyncio.Task[None] | None = None
        self.restarts = 0

    async def __aenter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        for program in self._programs:
            self._ready_file(program.name).unlink(missing_ok=True)
            self._children[program.name] = _Child(program, self._spawn(program), time.monotonic())
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watching:
            self._watching.cancel()
        await asyncio.to_thread(self._stop)

    def pid(self, name: str) -> int:
        """Return a child's process id, as it runs now."""
        return self._children[name].process.popen.pid

    def log_path(self, name: str) -> Path:
        """Return where a child's output goes."""
        return self._directory / f"{name}.log"

    async def failed(self) -> None:
        """Wait until the supervisor gives up; raises `ChildFailed`, and never returns otherwise."""
        assert self._watching, "use Supervisor as an async context manager"
        await asyncio.shield(self._watching)

    async def wait_ready(self, timeout_seconds: float) -> None:
        """Return once every child has told that it is ready.

        Raises:
            ChildFailed: one keeps ending, or is not ready in time.

        """
        assert self._watching, "use Supervisor as an async context manager"
        deadline = time.monotonic() + timeout_seconds
        waiting = {program.name for program in self._programs}
        while waiting := {name for name in waiting if not self._ready_file(name).exists()}:
            if self._watching.done():
                self._watching.result()
            if time.monotonic() > deadline:
                slow = sorted(waiting)
                raise ChildFailed(f"{', '.join(slow)} not ready after {timeout_seconds:g} s\n{self._tail(slow[0])}")
            await asyncio.sleep(0.05)

    def _ready_file(self, name: str) -> Path:
        return self._directory / f"{name}.ready"

    def _spawn(self, program: Program) -> TiedProcess:
        environment = dict(os.environ) | dict(program.environment)
        environment[READY_FILE_VARIABLE] = str(self._ready_file(program.name))
        with self.log_path(program.name).open("ab") as output:
            return TiedProcess(
                (sys.executable, "-m", "abdrift", *program.arguments), output=output, environment=environment
            )

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            for child in list(self._children.values()):
                if child.process.popen.poll() is not None:
                    await self._restart(child)

    async def _restart(self, child: _Child) -> None:
        name, status = child.program.name, child.process.popen.returncode
        if time.monotonic() - child.started_seconds > _CALM_SECONDS:
            child.restarts = 0
        if child.restarts >= len(_BACKOFF_SECONDS):
            raise ChildFailed(
                f"{name} ended {child.restarts + 1} times, the last with status {status}\n{self._tail(name)}"
            )
        log.warning("%s ended with status %s; starting it again", name, status)
        await asyncio.sleep(_BACKOFF_SECONDS[child.restarts])
        child.restarts += 1
        self.restarts += 1
        child.process, child.started_seconds = self._spawn(child.program), time.monotonic()

    def _tail(self, name: str) -> str:
        path = self.log_path(name)
        text = path.read_bytes()[-_TAIL_BYTES:].decode(errors="replace") if path.exists() else ""
        return f"The end of {path}:\n{text}"

    def _stop(self) -> None:
        """Ask the last started to stop first, so that nobody loses who it sends to; then insist."""
        for child in reversed(self._children.values()):
            if child.process.popen.poll() is None:
                child.process.popen.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for child in self._children.values():
            while child.process.popen.poll() is None:
                if time.monotonic() > deadline:
                    child.process.popen.kill()
                time.sleep(0.02)

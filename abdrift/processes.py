"""Children that never outlive their parent, and a supervisor that keeps a set of them running.

A child is tied to this process by the kernel (PR_SET_PDEATHSIG), so that nothing is left behind even after a kill -9.
A child tells that it is ready by creating the file named in `ABDRIFT_READY_FILE`. What a child prints goes into a file
of bounded size; of what is older, one such file is kept.
"""

import asyncio
import logging
import os
import shutil
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
_POLL_SECONDS = 0.1
_TAIL_BYTES = 4_000
LOG_MAX_BYTES = 16 * 1024 * 1024
"""Of a child's log, and of the older one beside it (`.log.1`)."""


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

    @property
    def has_ended(self) -> bool:
        return self.process.popen.poll() is not None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a supervisor waits for what."""

    backoff_seconds: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    """Before each restart in a row; a child that ends once more is given up."""
    calm_seconds: float = 60.0
    """A child that ran for so long begins again with the first of them."""
    stop_seconds: float = 15.0
    """Between asking a child to stop and killing it."""


class Supervisor:
    """Keeps programs running until it is left. Use as an async context manager."""

    def __init__(
        self,
        programs: Sequence[Program],
        directory: Path,
        *,
        command: Sequence[str] = (sys.executable, "-m", "abdrift"),
        patience: Patience = Patience(),
        log_max_bytes: int = LOG_MAX_BYTES,
    ) -> None:
        """Take the programs in the order to start them; logs and ready files go into `directory`.

        Args:
            programs: What to keep running.
            directory: Created where it does not exist.
            command: What each program's arguments follow.
            patience: How long to wait for what.
            log_max_bytes: How large a child's log may grow before it is put aside in place of the one before.

        """
        self._programs = tuple(programs)
        self._directory = directory
        self._command = tuple(command)
        self._patience = patience
        self._log_max_bytes = log_max_bytes
        self._children: dict[str, _Child] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._keeping: asyncio.Future[list[None]] | None = None
        self.restarts = 0

    async def __aenter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        try:
            for program in self._programs:
                self._ready_file(program.name).unlink(missing_ok=True)
                self._children[program.name] = _Child(program, self._spawn(program), time.monotonic())
        except OSError:
            await asyncio.to_thread(self._stop)
            raise
        self._tasks = [asyncio.create_task(self._keep(child)) for child in self._children.values()]
        self._keeping = asyncio.gather(*self._tasks)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        # That one was given up was for `failed` and `wait_ready` to tell.
        await asyncio.gather(*self._tasks, *([self._keeping] if self._keeping else []), return_exceptions=True)
        await asyncio.to_thread(self._stop)

    def pid(self, name: str) -> int:
        """Return a child's process id, as it runs now."""
        return self._children[name].process.popen.pid

    def log_path(self, name: str) -> Path:
        """Return where a child's output goes."""
        return self._directory / f"{name}.log"

    async def failed(self) -> None:
        """Wait until the supervisor gives up; raises `ChildFailed`, and never returns otherwise."""
        assert self._keeping, "use Supervisor as an async context manager"
        await asyncio.shield(self._keeping)

    async def wait_ready(self, timeout_seconds: float) -> None:
        """Return once every child has told that it is ready.

        Raises:
            ChildFailed: one keeps ending, or is not ready in time.

        """
        assert self._keeping, "use Supervisor as an async context manager"
        deadline = time.monotonic() + timeout_seconds
        waiting = {program.name for program in self._programs}
        while waiting := {name for name in waiting if not self._ready_file(name).exists()}:
            if self._keeping.done():
                self._keeping.result()
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
            return TiedProcess((*self._command, *program.arguments), output=output, environment=environment)

    async def _keep(self, child: _Child) -> None:
        """Restart one child whenever it ends; the others do not wait for its back-off."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            await self._bound_log(child.program.name)
            if child.has_ended:
                await self._restart(child)

    async def _bound_log(self, name: str) -> None:
        """Put a log aside that has grown too large. The child goes on with its file, which it only appends to."""
        path = self.log_path(name)
        if not path.exists() or path.stat().st_size <= self._log_max_bytes:
            return
        try:
            await asyncio.to_thread(shutil.copyfile, path, path.with_suffix(".log.1"))
        except OSError as error:  # a full disk must not end the programs; its log is what fills it
            log.warning("%s can't be put aside and is emptied: %s", path, error)
        os.truncate(path, 0)

    async def _restart(self, child: _Child) -> None:
        name, status = child.program.name, child.process.popen.returncode
        if time.monotonic() - child.started_seconds > self._patience.calm_seconds:
            child.restarts = 0
        if child.restarts >= len(self._patience.backoff_seconds):
            raise ChildFailed(
                f"{name} ended {child.restarts + 1} times, the last with status {status}\n{self._tail(name)}"
            )
        log.warning("%s ended with status %s; starting it again", name, status)
        await asyncio.sleep(self._patience.backoff_seconds[child.restarts])
        child.restarts += 1
        self.restarts += 1
        child.process, child.started_seconds = self._spawn(child.program), time.monotonic()

    def _tail(self, name: str) -> str:
        path = self.log_path(name)
        with path.open("rb") as output:
            output.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return f"The end of {path}:\n{output.read(_TAIL_BYTES).decode(errors='replace')}"

    def _stop(self) -> None:
        """Ask the last started to stop first, so that nobody loses who it sends to; then insist."""
        for child in reversed(self._children.values()):
            if not child.has_ended:
                child.process.popen.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self._patience.stop_seconds
        for child in self._children.values():
            while not child.has_ended:
                if time.monotonic() > deadline:
                    log.warning("%s does not stop; killing it", child.program.name)
                    child.process.popen.kill()
                    child.process.popen.wait()
                time.sleep(_POLL_SECONDS / 5)

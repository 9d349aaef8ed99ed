"""One real program as a part of a cluster: started, watched, stopped, killed, paused, restarted.

Everything here blocks. In an async test, call it through `asyncio.to_thread`, or the event loop stands still for as
long, and with it whatever the test runs in its own process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.parts.guard import Guard

READY_WITHIN_SECONDS = 180.0
STOPPED_WITHIN_SECONDS = 20.0
POLL_SECONDS = 0.05
LOG_TAIL_BYTES = 16_384


class PartFailedError(RuntimeError):
    """A part ended, or did not become ready in time; the text ends with its log's last lines."""


@dataclass(frozen=True)
class Program:
    """What to run: `argv`, its log file, how to tell that it is ready, and what its environment adds."""

    name: str
    argv: Sequence[str | Path]
    log: Path
    ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)


class Part:
    """A program that can be ended and started again, with the same arguments, ports and data."""

    def __init__(self, program: Program, guard: Guard) -> None:
        self.name = program.name
        self.log = program.log
        self._program = program
        self._guard = guard
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process lives; a paused one does."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id. Raises `PartFailedError` where there is no process."""
        return self._alive().pid

    def start(self) -> None:
        """Start and wait until ready. Raises `PartFailedError`."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start without waiting. Does nothing if the process lives."""
        if self.running:
            return
        # Proxies and a home folder's settings belong to the developer, not to the parts.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.log.parent)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(argument) for argument in self._program.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environment, **self._program.environment},
                start_new_session=True,  # a Ctrl-C is for the test run, which stops the parts in their order
            )
        self._guard.add(self._process.pid)

    def wait_ready(self, timeout_seconds: float = READY_WITHIN_SECONDS) -> None:
        """Wait until the program answers. Raises `PartFailedError`."""
        deadline = time.monotonic() + timeout_seconds
        while not self._program.ready():
            self._alive()
            if time.monotonic() > deadline:
                raise PartFailedError(f"{self.name} was not ready in {timeout_seconds:.0f} s:\n{self.log_tail()}")
            time.sleep(POLL_SECONDS)

    def stop(self, timeout_seconds: float = STOPPED_WITHIN_SECONDS) -> None:
        """End with SIGTERM, with SIGKILL after `timeout_seconds`. Does nothing if there is no process."""
        if self._process is None:
            return
        self._signal(signal.SIGCONT)  # a paused process takes no SIGTERM
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_seconds)
        self.kill()

    def kill(self) -> None:
        """End at once with SIGKILL, and children with it. Does nothing if there is no process."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._guard.remove(self._process.pid)
        self._process = None

    def restart(self) -> None:
        """Stop, start, and wait until ready. Raises `PartFailedError`."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze with SIGSTOP: connections stay open and nobody answers. Raises `PartFailedError` if not running."""
        self._alive()
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`. Raises `PartFailedError` if not running."""
        self._alive()
        self._signal(signal.SIGCONT)

    def log_tail(self, lines: int = 25) -> str:
        """Return the last `lines` of the log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise PartFailedError(f"{self.name} is not running")
        if (code := self._process.poll()) is not None:
            raise PartFailedError(f"{self.name} ended with code {code}:\n{self.log_tail()}")
        return self._process

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)  # its own session's leader: pid and process group are one

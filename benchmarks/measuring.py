"""One program on one core: how many rows it took when, what it used, and that it ends.

A rate is by the wall clock, less the time in which processes that have nothing to do with the run kept the core busy:
on a quiet machine that is none, and on a noisy one the rate is still what the core would have given alone. Waiting for
the broker or the disk is the program's own. CPU time is that of its whole process tree, user and system.
"""

import json
import os
import select
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from abdrift.tied import TiedProcess

WARM_UP_SHARE: Final = 0.25
"""Of the rows: what comes before is a program's start (imports, assignment, just-in-time compilation), not its rate."""
_MOST_FOREIGN: Final = 0.9
_TAIL_LINES: Final = 30
_POLL_SECONDS: Final = 0.5
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_PIN: Final = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); os.execv(sys.argv[2], sys.argv[2:])"


class RunError(RuntimeError):
    """A program ended before its last row, or took too long; the message holds the end of what it said."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How far a program was at a moment."""

    seconds: float
    rows: int
    cpu_seconds: float
    foreign_seconds: float = 0.0
    """For how long others have kept the core busy so far."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run gave."""

    rows: int
    rows_per_second: float
    cpu_seconds_per_million_rows: float
    memory_bytes: int
    """The most that its process tree had resident at any sample."""
    foreign_share: float = 0.0
    """Of the time, for how much others kept the core busy; left out of the rate."""


@dataclass(slots=True)
class Watch:
    """Samples of a session's processes on one core."""

    session: int
    core: int
    samples: list[Sample] = field(default_factory=list)
    memory_bytes: int = 0

    def note(self, rows: int) -> None:
        """Sample now, after so many rows."""
        now = time.monotonic()
        cpu_seconds, memory_bytes = usage(self.session)
        self.samples.append(Sample(now, rows, cpu_seconds, _busy_seconds(self.core) - cpu_seconds))
        self.memory_bytes = max(self.memory_bytes, memory_bytes)

    def measured(self) -> Measured:
        """Return the rate from the end of the warm-up to the last sample.

        Raises:
            RunError: there are too few samples: the run was too short.

        """
        return measured(self.samples, self.memory_bytes)


def measured(samples: Sequence[Sample], memory_bytes: int) -> Measured:
    """Return the rate between the first sample past the warm-up and the last one. Pure.

    Raises:
        RunError: no two samples differ in rows: the run was too short.

    """
    last = samples[-1] if samples else Sample(0, 0, 0)
    warm = [sample for sample in samples if WARM_UP_SHARE * last.rows <= sample.rows < last.rows]
    # A short run, as tests make it, may have said nothing between its first rows and its last.
    first = next(iter(warm or samples), last)
    rows = last.rows - first.rows
    seconds = last.seconds - first.seconds
    # The kernel counts in ticks, so in a short run the difference may be anything.
    foreign_seconds = min(max(0.0, last.foreign_seconds - first.foreign_seconds), _MOST_FOREIGN * seconds)
    if rows <= 0 or seconds <= 0:
        raise RunError("the run was too short to be measured: give it more rows (--rows, --seconds)")
    return Measured(
        rows=last.rows,
        rows_per_second=rows / (seconds - foreign_seconds),
        cpu_seconds_per_million_rows=(last.cpu_seconds - first.cpu_seconds) / rows * 1e6,
        memory_bytes=memory_bytes,
        foreign_share=foreign_seconds / seconds,
    )


def cores() -> tuple[int, int]:
    """Return the core for programs under test and the one for everything else; the same where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[-1], usable[0]


class PinnedProgram:
    """A program on one core that tells of its rows as JSON lines. A context manager that leaves nothing running."""

    def __init__(self, command: Sequence[str], core: int) -> None:
        reading, writing = os.pipe()
        self._lines = os.fdopen(reading, "rb", buffering=0)
        self._buffer = b""
        self._tail: list[str] = []
        pinned = (sys.executable, "-I", "-S", "-c", _PIN, str(core), *command)
        with os.fdopen(writing, "wb") as output:
            self.process = TiedProcess(pinned, output=output)
        self.watch = Watch(self.process.popen.pid, core)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(0)
        self._lines.close()

    def follow(self, timeout_seconds: float) -> Measured:
        """Sample at each line until the program says that it is done; return what was measured.

        Raises:
            RunError: it ended before, or was not done in time.

        """
        deadline = time.monotonic() + timeout_seconds
        for line in self._read(deadline):
            if line.startswith(b'{"rows":'):
                self.watch.note(json.loads(line)["rows"])
            elif line.startswith(b'{"done":'):
                return self.watch.measured()
            else:
                self._tail = [*self._tail, line.decode(errors="replace")][-_TAIL_LINES:]
        raise RunError(
            self.told("ended early" if time.monotonic() < deadline else f"not done in {timeout_seconds:g} s")
        )

    def told(self, what: str) -> str:
        """Return an error's message with the end of what the program said."""
        status = self.process.popen.poll()
        return "\n".join([f"{what} (exit status {status})", *self._tail])

    def drain(self) -> None:
        """Take what the program says, so that it never waits for a reader."""
        for line in self._read(0):
            self._tail = [*self._tail, line.decode(errors="replace")][-_TAIL_LINES:]

    def stop(self, timeout_seconds: float) -> None:
        """Ask it to end, and insist after a while; safe to repeat."""
        popen = self.process.popen
        if popen.poll() is None and timeout_seconds:
            popen.terminate()
            deadline = time.monotonic() + timeout_seconds
            while popen.poll() is None and time.monotonic() < deadline:
                self.drain()
                time.sleep(0.05)
        if popen.poll() is None:
            popen.kill()
        popen.wait()

    def _read(self, deadline: float) -> Iterator[bytes]:
        """Yield lines until the output ends or the deadline has passed and nothing is there to read."""
        while True:
            left = max(0.0, min(_POLL_SECONDS, deadline - time.monotonic()))
            ready, _, _ = select.select([self._lines], [], [], left)
            if not ready:
                if time.monotonic() >= deadline:
                    return
                continue
            chunk = self._lines.read(1 << 16)
            if not chunk:
                return
            *lines, self._buffer = (self._buffer + chunk).split(b"\n")
            yield from lines


def _busy_seconds(core: int) -> float:
    """Return for how long a core has run programs since the machine's start; interrupts are whoever's caused them."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            # proc(5): user, nice, system.
            return sum(int(one) for one in ticks[:3]) / _TICKS
    raise RunError(f"/proc/stat tells nothing of core {core}")


def usage(session: int) -> tuple[float, int]:
    """Return the CPU seconds that a session's processes have used, ended children included, and what is resident."""
    ticks = pages = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        # proc(5): after the name, the fields count from 3 (state); 6 session, 14 to 17 times, 24 resident pages.
        if int(fields[3]) == session:
            ticks += sum(int(one) for one in fields[11:15])
            pages += int(fields[21])
    return ticks / _TICKS, pages * _PAGE_BYTES

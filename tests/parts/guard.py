"""Kills what a test run started when the run itself is gone, however it went.

`PR_SET_PDEATHSIG` would not do: it fires when the *thread* that started a process ends, and tests start processes from
threads of an event loop's pool. So one small watcher reads a pipe that only the test run holds open; at its end the
watcher kills every process group it was told of. Run as a script, this file is that watcher.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress


class Guard:
    """The watcher's other end. Closing it, or the death of this process, kills what is still registered."""

    def __init__(self) -> None:
        self._watcher = subprocess.Popen(
            [sys.executable, "-I", __file__], stdin=subprocess.PIPE, start_new_session=True, text=True
        )

    def add(self, process_group: int) -> None:
        """Kill `process_group` when this run ends, unless it is removed before."""
        self._tell(f"+{process_group}")

    def remove(self, process_group: int) -> None:
        """Forget `process_group`, which has ended: its number may come to mean another."""
        self._tell(f"-{process_group}")

    def close(self) -> None:
        """Kill what is left and end the watcher."""
        assert self._watcher.stdin is not None
        self._watcher.stdin.close()
        self._watcher.wait()

    def _tell(self, line: str) -> None:
        assert self._watcher.stdin is not None
        self._watcher.stdin.write(line + "\n")
        self._watcher.stdin.flush()


def watch() -> None:
    """Read process groups from standard input until it ends, then kill those that were not taken back."""
    groups: set[int] = set()
    for line in sys.stdin:
        change = int(line)
        (groups.add if change > 0 else groups.discard)(abs(change))
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    watch()

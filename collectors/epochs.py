"""Epochs: which run of a source a frame belongs to. Each start has a higher one than every start before it."""

import os
import re
from pathlib import Path

from abdrift.clock import ClockMs


def next_epoch(source: str, state_dir: Path | None, clock: ClockMs) -> int:
    """Return the epoch of a run that starts now.

    With a folder to remember in, it is above every earlier one even where the clock went backwards, and never below
    the time in milliseconds, so that a lost folder does not throw the source back either. Without one it is the
    time, which holds as long as the clock does.

    Raises:
        ValueError: the stored epoch is damaged; deleting the file named in the message starts it anew.
        OSError: the folder cannot be written.

    """
    now_ms = clock()
    if state_dir is None:
        return now_ms
    state_dir.mkdir(parents=True, exist_ok=True)
    path = state_dir / (re.sub(r"[^A-Za-z0-9.-]", "_", source) + ".epoch")
    epoch = max(_stored(path) + 1, now_ms)
    _write_durably(path, str(epoch))
    return epoch


def _stored(path: Path) -> int:
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return -1
    except ValueError as error:
        raise ValueError(f"{path} holds no epoch ({error}); delete it to start anew from the time") from error


def _write_durably(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

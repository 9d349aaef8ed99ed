"""Where built programs are kept between runs, and how a build gets there whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STAMP = "recipe.sha256"


def root() -> Path:
    """The folder of all parts: `$ABDRIFT_CACHE/parts`, else `$XDG_CACHE_HOME/abdrift/parts`, else under `~/.cache`."""
    if own := os.environ.get("ABDRIFT_CACHE"):
        return Path(own) / "parts"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "abdrift" / "parts"


def is_current(folder: Path, recipe: str) -> bool:
    """Whether `folder` was completed from `recipe`: the stamp is the last thing written into it."""
    try:
        return (folder / STAMP).read_text() == recipe
    except FileNotFoundError:
        return False


def install(folder: Path, recipe: str, build: Callable[[Path], None], say: Callable[[str], None]) -> Path:
    """Return `folder` as `build` fills it for `recipe` (a digest of all that went in), building at most once.

    Two runs that ask at the same time share one build: the second waits for the first. `build` fills a folder beside
    the final one, so a build that fails or is killed leaves `folder` as it was. Raises what `build` raises.
    """
    if is_current(folder, recipe):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent / f".{folder.name}.lock", say):
        if not is_current(folder, recipe):
            _replace(folder, recipe, build)
    return folder


def _replace(folder: Path, recipe: str, build: Callable[[Path], None]) -> None:
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fresh = staging / "fresh"
        fresh.mkdir()
        build(fresh)
        (fresh / STAMP).write_text(recipe)
        if folder.exists():
            folder.rename(staging / "stale")
        fresh.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _locked(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run is at work on {path.name.strip('.').removesuffix('.lock')}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield

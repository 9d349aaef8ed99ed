"""The Python peers' own environment: made once from `requirements/bench.lock`, kept in the cache."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Final

from abdrift import paths

_ROOT: Final = Path(__file__).parents[1]
_LOCK: Final = _ROOT / "requirements" / "bench.lock"
PROGRAMS: Final = Path(__file__).with_name("python")


class PeersMissingError(RuntimeError):
    """The Python peers can't be installed here; the message names the way out."""


def python() -> Path:
    """Return the interpreter that has the Python peers, after installing them where needed.

    Raises:
        PeersMissingError: the lock is not there, or what it names can't be installed.

    """
    if not _LOCK.exists():
        raise PeersMissingError(f"{_LOCK} is missing: run the benchmarks from a checkout of the repository.")
    folder = paths.cache_dir() / "benchmarks" / f"python-{hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:16]}"
    interpreter, done = folder / "bin" / "python", folder / ".done"
    if not done.exists():
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(interpreter), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(_LOCK))
        done.touch()
    return interpreter


def _run(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  the command is ours
    if ended.returncode:
        raise PeersMissingError(
            f"The Python peers (Quix Streams, Bytewax) can't be installed: {' '.join(command)} said\n"
            f"{ended.stderr[-2_000:]}\nCheck the network and its proxy settings and run again, or leave them out "
            "by --engines."
        )

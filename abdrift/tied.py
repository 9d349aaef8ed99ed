"""Child processes that the kernel kills when their parent ends, however it ends. Linux only."""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Final

# The kernel kills the process when the thread that started it ends. This runs in the child, as a program of its
# own rather than between fork and exec, where a threaded parent's locks may be held for ever.
_TIED_TO_PARENT: Final = """\
import ctypes, os, signal, sys
ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class TiedProcess:
    """A process that the kernel kills when this one ends, however it ends; from any thread or event loop.

    Raises:
        OSError: the program can't be started.

    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        output: IO[bytes],
        keep_open: tuple[int, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it. `keep_open` are file descriptors it inherits; `environment` None is this process's own."""
        self._arguments = (sys.executable, "-I", "-S", "-c", _TIED_TO_PARENT, str(os.getpid()), *arguments)
        self._output = output
        self._keep_open = keep_open
        self._environment = environment
        self._started = threading.Event()
        self._popen: subprocess.Popen[bytes] | None = None
        self._error: OSError | None = None
        # The tie is to the thread, so the thread must last as long as the process does.
        threading.Thread(target=self._run, name="tied-process", daemon=True).start()
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
                pass_fds=self._keep_open,
                env=self._environment,
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

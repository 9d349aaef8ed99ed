"""How a worker gives memory back that it needed for a while, and how seldom it looks for cycles.

Steps that count by columns need tens of megabytes for a moment, each batch and each beat. glibc keeps what is freed
below its threshold, which it raises to 32 MB as it meets such sizes: between what stays, little of it is used again.
Arrow's own pool keeps as much beside it. So large pieces are mapped one by one, and returned when they are freed.
"""

import ctypes
import gc
import sys
from typing import Final

import pyarrow as pa

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Of glibc's malloc.h."""
LARGE_BYTES: Final = 1 << 20
"""Mapping less costs more than it saves: what a batch adds up comes and goes all the time."""
_KEPT_BYTES: Final = 4 << 20
"""At the end of what is not mapped. Without this glibc gives each end back at once, and asks for it again."""
_ARENAS: Final = 2
_NEW_OBJECTS: Final = 10_000
"""Fourteen times Python's own: a batch makes thousands of objects, nearly all of which go with their last reference."""


def return_what_is_freed() -> None:
    """Have this process keep little of what it frees. Where the C library is not glibc, only Arrow is told."""
    pa.set_memory_pool(pa.system_memory_pool())
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
            mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
            mallopt(_ARENA_MAX, _ARENAS)


def collect_seldom() -> None:
    """Have Python look for cycles after so many new objects, and never through the libraries that are loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)

"""What a worker frees goes back though what it keeps lies in between, and cycles are found though seldom looked for."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import numpy as np, pyarrow as pa
from streams.memory import return_what_is_freed

def resident_mib():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20

return_what_is_freed()
before, kept = resident_mib(), []
for size in (30, 29, 28):
    # Having freed a large piece, glibc by itself keeps smaller ones.
    passing = [np.ones(size << 20, dtype=np.uint8) for _ in range(4)]
    kept.append(np.ones(1 << 16, dtype=np.uint8))
    del passing
print(resident_mib() - before, pa.default_memory_pool().backend_name)
"""


def test_large_pieces_are_returned() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True)
    grown_mib, pool = done.stdout.split()
    assert int(grown_mib) < 10, "of 120 MB that were there at once, next to nothing is in use"
    assert pool == "system"


CYCLES = """
import gc, weakref
from streams.memory import collect_seldom

class Node:
    pass

def cycle():
    one = Node()
    one.itself = one
    return weakref.ref(one)

collect_seldom()
passes = []
gc.callbacks.append(lambda phase, told: passes.append(phase) if phase == "start" else None)
seen = [cycle() for _ in range(4_000)]
print(len(passes), sum(ref() is not None for ref in seen))
more = [cycle() for _ in range(30_000)]
print(len(passes) > 0, sum(ref() is not None for ref in seen))
"""


def test_cycles_are_looked_for_seldom_and_found() -> None:
    done = subprocess.run([sys.executable, "-c", CYCLES], capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["0", "4000", "True", "0"]

"""Which workload a generated name belongs to, told from the name alone.

Source: Kubernetes' `names.SimpleNameGenerator` (five letters that make no words), `controller.ComputeHash` (the pod
template's hash in the same letters), StatefulSet ordinals, and CronJobs' scheduled time in minutes.
"""

import re
from typing import Final

_LETTERS: Final = "[bcdfghjklmnpqrstvwxz2456789]"
_HASH: Final = f"-{_LETTERS}{{6,10}}"
_MINUTES: Final = r"-\d{8,10}"
_SUFFIXES: Final = {
    "Pod": re.compile(rf"(?:(?:{_HASH}|{_MINUTES})?-{_LETTERS}{{5}}|-(?:0|[1-9]\d{{0,3}}))$"),
    "ReplicaSet": re.compile(f"{_HASH}$"),
    "Job": re.compile(f"{_MINUTES}$"),
}


def workload_of(kind: str, name: str) -> str:
    """Return the name without what Kubernetes appended to it; the name itself where it was given by a person.

    A Pod's, ReplicaSet's or Job's name that merely looks generated is shortened too: `streams.health` then finds no
    such workload, or the one of the shorter name.
    """
    suffix = _SUFFIXES.get(kind)
    return name if suffix is None else suffix.sub("", name) or name

"""Rows for the tests of frames."""

from __future__ import annotations

import hashlib
from typing import Any

from abdrift import frames
from abdrift.signals import events
from abdrift.signals.events import EVENTS, EventRow

T0 = 1_700_000_000_000


def event(number: int = 0, **changed: Any) -> EventRow:
    """Return an Event as a kubelet of a shop's cluster tells it; `number` varies what varies in reality."""
    workload = f"web-{number % 40}"
    pod = hashlib.sha256(f"{workload}/{number % 120}".encode()).hexdigest()
    uid = hashlib.sha256(str(number).encode()).hexdigest()
    row: dict[str, Any] = {
        "cluster": f"edge-{number % 3:04}",
        "namespace": f"shop-{number % 17}",
        "type": "Warning" if number % 9 == 0 else "Normal",
        "reason": ("Pulled", "Created", "Started", "BackOff", "Scheduled")[number % 5],
        "component": "kubelet",
        "object_group": "",
        "object_kind": "Pod",
        "object_name": f"{workload}-{pod[:10]}-{pod[10:15]}",
        "object_uid": f"{pod[:8]}-{pod[8:12]}-{pod[12:16]}-{pod[16:20]}-{pod[20:32]}",
        "count": 1 + number % 4,
        "first_ms": T0 + number * 37,
        "last_ms": T0 + number * 41,
        "observed_ms": T0 + number * 41 + 12,
        "uid": f"{uid[:8]}-{uid[8:12]}-{uid[12:16]}-{uid[16:20]}-{uid[20:32]}",
        "message": f"container {workload} event {number % 7}",
    }
    return EventRow(**(row | changed))


def encoded(rows: list[EventRow], source: str = "kubernetes/edge-0001", sequence: int = 0) -> frames.EncodedFrame:
    """Return a frame of one lane."""
    return frames.encode(EVENTS, events.columns_of(rows), (source, 1, sequence))


def decoded(frame: frames.EncodedFrame) -> frames.Frame:
    """Return what a reader makes of a frame."""
    return frames.decode(frame.value, frame.headers)

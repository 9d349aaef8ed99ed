"""Kubernetes Events as rows, with how many were added since the last sight. Pure but for its memory."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from abdrift.clock import parse_rfc3339_ms
from abdrift.signals.events import EventRow

_MAX_MESSAGE = 2_000


def times_of(event: Mapping[str, Any]) -> tuple[int, int]:
    """Return when an Event happened first and last, in milliseconds since the epoch; 0 where it says nothing.

    Whoever writes events.k8s.io/v1 sets `eventTime` and `series`; the older API sets the two timestamps.
    """
    series = event.get("series") or {}
    created = parse_rfc3339_ms(event["metadata"].get("creationTimestamp"))
    moment = parse_rfc3339_ms(event.get("eventTime"))
    first = parse_rfc3339_ms(event.get("firstTimestamp")) or moment or created or 0
    last = parse_rfc3339_ms(series.get("lastObservedTime")) or parse_rfc3339_ms(event.get("lastTimestamp")) or first
    return first, last


def count_of(event: Mapping[str, Any]) -> int:
    """Return how many times an Event says it happened."""
    series = event.get("series") or {}
    return max(1, int(series.get("count") or event.get("count") or 1))


class EventCounts:
    """The last count of each Event, for the newest `capacity` of them."""

    def __init__(self, capacity: int = 20_000) -> None:
        self._capacity = capacity
        self._counts: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def added(self, uid: str, count: int, *, first_sight: int) -> int:
        """Return how many were added since the last call; `first_sight` for an Event not known, 0 for a repeat."""
        known = self._counts.pop(uid, None)
        self._counts[uid] = count
        if len(self._counts) > self._capacity:
            self._counts.popitem(last=False)
        if known is None:
            return first_sight
        return max(0, count - known)

    def forget(self, uid: str) -> None:
        """Drop an Event that is gone."""
        self._counts.pop(uid, None)


def event_row(cluster: str, event: Mapping[str, Any], added: int, observed_ms: int) -> EventRow:
    """Return the row of an Event.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: it is no Event.

    """
    about = event.get("involvedObject") or {}
    first_ms, last_ms = times_of(event)
    annotations = event["metadata"].get("annotations") or {}
    return EventRow(
        cluster=cluster,
        namespace=str(about.get("namespace") or ""),
        type=str(event.get("type") or "Normal"),
        reason=str(event.get("reason") or ""),
        component=str((event.get("source") or {}).get("component") or event.get("reportingComponent") or ""),
        object_group=str(about.get("apiVersion") or "").rpartition("/")[0],
        object_kind=str(about.get("kind") or ""),
        object_name=str(about.get("name") or ""),
        count=added,
        first_ms=first_ms or observed_ms,
        last_ms=last_ms or observed_ms,
        observed_ms=observed_ms,
        message=str(event.get("message") or "")[:_MAX_MESSAGE],
        revision=next((str(text) for name, text in annotations.items() if name.endswith("/revision")), ""),
    )

"""What Flux's notification controller posts, and the row that an event becomes.

Source: the type `Event` of Flux's `event/v1beta1` API.
"""

import hashlib

import msgspec
import orjson

from abdrift.clock import parse_rfc3339_ms
from abdrift.signals.alerts import AlertRow, Status

SENDER = "flux"
MAX_MESSAGE_CHARS = 16_384
"""A message is cut there; Flux's own carry what an apply printed."""
_ERROR = "error"


class Involved(msgspec.Struct, frozen=True, rename="camel"):
    """The object that an event is about."""

    kind: str
    name: str
    namespace: str = ""
    api_version: str = ""


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """One event."""

    involved_object: Involved
    severity: str
    timestamp: str
    message: str
    reason: str
    metadata: dict[str, str] | None = None
    reporting_controller: str = ""


class BadTimeError(ValueError):
    """An event without a time."""


def row_of(event: Event, cluster: str, observed_ms: int) -> AlertRow:
    """Return an event's row.

    Raises:
        BadTimeError: its timestamp is none.

    """
    at_ms = parse_rfc3339_ms(event.timestamp)
    if at_ms is None:
        raise BadTimeError(f"timestamp {event.timestamp[:64]!r} is no RFC 3339 time")
    involved = event.involved_object
    about = {
        "apiVersion": involved.api_version,
        "kind": involved.kind,
        "namespace": involved.namespace,
        "name": involved.name,
    }
    fires = event.severity == _ERROR
    return AlertRow(
        cluster=cluster,
        sender=SENDER,
        name=event.reason,
        status=(Status.FIRING if fires else Status.RESOLVED).value,
        severity=event.severity,
        fingerprint=_fingerprint(involved),
        starts_ms=at_ms,
        ends_ms=0 if fires else at_ms,
        observed_ms=observed_ms,
        # What an event is about can't be said otherwise by its metadata.
        labels=orjson.dumps({**(event.metadata or {}), **about}, option=orjson.OPT_SORT_KEYS).decode(),
        annotations=orjson.dumps({"reportingController": event.reporting_controller}).decode(),
        message=event.message[:MAX_MESSAGE_CHARS],
    )


def _fingerprint(involved: Involved) -> str:
    """Return what is the same for all events about an object, whatever version of its API they name."""
    group = involved.api_version.rpartition("/")[0]
    text = f"{group}\n{involved.kind}\n{involved.namespace}\n{involved.name}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]

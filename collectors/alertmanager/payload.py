"""What Alertmanager posts, version 4, and the row that an alert becomes.

Source: Alertmanager's documentation of `webhook_config`.
"""

from collections.abc import Mapping

import msgspec
import orjson

from abdrift.clock import parse_rfc3339_ms
from abdrift.signals.alerts import AlertRow, Status

SENDER = "alertmanager"
VERSION = "4"
MAX_TEXT_CHARS = 4_096
"""An annotation's value is cut there."""
_SPOKEN = ("summary", "description", "message")
"""Annotations that say in a sentence what is wrong, by custom; the first that is there."""


class Alert(msgspec.Struct, frozen=True, rename="camel"):
    """One alert."""

    status: Status
    labels: dict[str, str]
    starts_at: str
    fingerprint: str
    annotations: dict[str, str] = {}
    ends_at: str = ""
    generator_url: str = msgspec.field(default="", name="generatorURL")


class Notification(msgspec.Struct, frozen=True, rename="camel"):
    """One notification: the alerts of one group, as far as they are told."""

    version: str
    alerts: list[Alert]
    group_key: str = ""
    truncated_alerts: int = 0


class BadAlertError(ValueError):
    """An alert that cannot be taken; `reason` is from a fixed set."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def row_of(alert: Alert, cluster: str, group: str, observed_ms: int, max_labels_bytes: int) -> AlertRow:
    """Return an alert's row.

    Raises:
        BadAlertError: it has no time, or its labels are too large to tell it apart by.

    """
    labels = _packed(alert.labels)
    if len(labels) > max_labels_bytes:
        raise BadAlertError("labels-too-large", f"the labels take more than {max_labels_bytes} bytes")
    starts_ms = parse_rfc3339_ms(alert.starts_at)
    if starts_ms is None:
        raise BadAlertError("bad-time", f"startsAt {alert.starts_at[:64]!r} is no RFC 3339 time")
    ends_ms = parse_rfc3339_ms(alert.ends_at) or 0
    resolved = alert.status is Status.RESOLVED
    annotations = {name: _cut(value) for name, value in alert.annotations.items()}
    return AlertRow(
        cluster=cluster,
        sender=SENDER,
        name=alert.labels.get("alertname", ""),
        status=alert.status.value,
        severity=alert.labels.get("severity", ""),
        fingerprint=alert.fingerprint[:64],
        starts_ms=starts_ms,
        # An alert that fires tells year 1, or when it would end unless it is told again.
        ends_ms=max(ends_ms, 0) if resolved else 0,
        observed_ms=observed_ms,
        labels=labels,
        annotations=_packed(annotations),
        message=next((annotations[name] for name in _SPOKEN if name in annotations), ""),
        group=_cut(group),
        url=_cut(alert.generator_url),
    )


def _cut(text: str) -> str:
    """Return a text of bounded length, with a mark where it was longer."""
    return text if len(text) <= MAX_TEXT_CHARS else text[: MAX_TEXT_CHARS - 1] + "…"


def _packed(texts: Mapping[str, str]) -> str:
    return orjson.dumps(texts, option=orjson.OPT_SORT_KEYS).decode()

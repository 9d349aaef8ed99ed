"""Which alerts there are now, and what one Alertmanager does not know of them yet. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from abdrift.clock import to_datetime, to_ms
from abdrift.facts.incidents import Incident
from sinks.alertmanager import alerts
from sinks.alertmanager.alerts import Alert, Key
from sinks.alertmanager.config import AlertmanagerConfig

ENDED_KEPT_MS = 900_000
"""How long the end of an alert is worth telling; one told before the sink was started ends by itself by then."""
HELD_TIMES = 4
"""An alert ends by itself when it was not told again for so many intervals, as Prometheus's do."""


class Book:
    """The incidents as they stand."""

    def __init__(self, config: AlertmanagerConfig) -> None:
        self._config = config
        self._alerts: dict[str, Alert] = {}
        """By incident."""

    @property
    def firing(self) -> int:
        """How many incidents are open."""
        return sum(1 for alert in self._alerts.values() if alert.ended_at is None)

    def put(self, incident: Incident) -> None:
        """Take an incident as it stands now."""
        self._alerts[incident.incident_id] = alerts.of(incident, self._config)

    def drop(self, incident_id: str) -> None:
        """Let go of an incident that was forgotten."""
        self._alerts.pop(incident_id, None)

    def current(self, now_ms: int) -> dict[Key, Alert]:
        """Return the alerts that fire or ended of late; of those with the same labels one that fires, or the newest."""
        found: dict[Key, Alert] = {}
        for alert in self._alerts.values():
            if alert.ended_at is not None and to_ms(alert.ended_at) < now_ms - ENDED_KEPT_MS:
                continue
            known = found.get(alert.key)
            if known is None or _rank(alert) > _rank(known):
                found[alert.key] = alert
        return found


def _rank(alert: Alert) -> tuple[bool, int]:
    return alert.ended_at is None, to_ms(alert.starts_at)


@dataclass(frozen=True, slots=True)
class _Told:
    alert: Alert
    at_ms: int


@dataclass(slots=True)
class Told:
    """What one Alertmanager was told."""

    resend_ms: int
    _told: dict[Key, _Told] = field(default_factory=dict)

    def due(self, current: dict[Key, Alert], now_ms: int) -> list[Alert]:
        """Return what it is to be told now: what is new or ended, and again what fires."""
        news = [
            alert
            for key, alert in current.items()
            if (known := self._told.get(key)) is None
            or known.alert != alert
            or (alert.ended_at is None and now_ms - known.at_ms >= self.resend_ms)
        ]
        return [*news, *self._vanished(current, now_ms)]

    def note(self, told: Iterable[Alert], current: dict[Key, Alert], now_ms: int) -> None:
        """Note that these were told."""
        for alert in told:
            self._told[alert.key] = _Told(alert, now_ms)
        for key in [key for key, known in self._told.items() if key not in current and known.alert.ended_at]:
            del self._told[key]

    def body(self, told: Iterable[Alert], now_ms: int) -> list[dict[str, object]]:
        """Return alerts as the API takes them."""
        until = to_datetime(now_ms) + timedelta(milliseconds=HELD_TIMES * self.resend_ms)
        return [alert.posted(until) for alert in told]

    def _vanished(self, current: dict[Key, Alert], now_ms: int) -> Iterable[Alert]:
        """Yield the ends of alerts whose labels nothing has any more: their incident's severity changed, say."""
        for key, known in self._told.items():
            if key not in current and known.alert.ended_at is None:
                yield replace(known.alert, ended_at=to_datetime(now_ms))

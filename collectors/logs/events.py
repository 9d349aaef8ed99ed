"""From a sender's event to a row, or to the reason why not. Pure but for what it counts."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import Field

from abdrift.configuration import ConfigurationError, Settings
from abdrift.letters import MAX_KEPT_BYTES
from abdrift.signals.logs import LogRow, Severity
from collectors.logs import severities, telemetry, times
from collectors.logs.columns import Fields
from collectors.logs.flat import flatten
from collectors.logs.secrets import Hiding, SecretsConfig
from collectors.receiving.clients import NotItsClusterError

_NAME_CHARS: Final = 253
"""The longest name of a Kubernetes object; the fleet's clusters keep to it, too."""
_SENDER_CHARS: Final = 63
_HIDING_SLACK_CHARS: Final = 4_096
"""How far beyond the part of a text that is kept secrets are looked for, so that none is cut in two and missed."""

MAX_CONTAINERS: Final = 200_000
"""Objects and arrays in what is parsed at once. An empty one takes 3 bytes to send and 70 to hold."""

ClusterOf = Callable[[str | None], str]
"""Which cluster an event is of, given what it names; raises `NotItsClusterError` where the sender may not say so."""


class EventsConfig(Settings):
    """How events become rows."""

    cluster_fields: tuple[str, ...] = Field(
        default=(), description="Dotted names of fields that name the cluster, asked before those of the table."
    )
    severity_from_message: bool = Field(
        default=True, description="Where no field says how bad a line is, read it from the line's beginning."
    )
    max_message_bytes: int = Field(default=16 * 1024, ge=64, le=256 * 1024, description="A longer line is cut.")
    max_fields_bytes: int = Field(
        default=8 * 1024, ge=64, le=256 * 1024, description="Of the JSON of other fields; what is beyond is left out."
    )
    max_past_seconds: float = Field(default=30 * 86_400, gt=0, description="An older time is set to this long ago.")
    max_future_seconds: float = Field(default=600, ge=0, description="A later time is set to this far ahead.")
    secrets: SecretsConfig = SecretsConfig()


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of events from how they came."""

    cluster_of: ClusterOf
    observed_ms: int
    sender: str
    """What sent them, where they don't say so themselves."""
    sent_ms: int | None = None
    """When, where they don't say so themselves; absent: when they were observed."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that became no row."""

    reason: str
    """`bad-json`, `too-large`, `no-object`, `no-cluster` or `not-its-cluster`."""
    message: str
    value: bytes
    """What was sent, its secrets hidden."""


class Reader:
    """Reads events by one configuration; one for each source."""

    def __init__(self, config: EventsConfig, source: str) -> None:
        """Raise ConfigurationError where the masking key can't be used."""
        self._config = config
        self._source = source
        longest = max(config.max_message_bytes, config.max_fields_bytes) + _HIDING_SLACK_CHARS
        try:
            masker = config.secrets.masker()
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"secrets.key_file: {error}") from error
        self._hiding = Hiding(config.secrets, masker, longest)

    def read_json(self, value: bytes, origin: Origin) -> LogRow | Refused:
        """Return the row of one event in JSON."""
        if value.count(b"{") + value.count(b"[") > MAX_CONTAINERS:
            return self.refused("too-large", f"more than {MAX_CONTAINERS} objects and arrays", value)
        try:
            event = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            return self.refused("bad-json", f"no JSON: {error}", value)
        return self.read(event, origin)

    def refused(self, reason: str, message: str, value: bytes) -> Refused:
        """Return the refusal of bytes that are not even parsed."""
        return Refused(reason, message, self._hiding.raw(value[:MAX_KEPT_BYTES]))

    def read(self, event: Any, origin: Origin) -> LogRow | Refused:
        """Return the row of one event, as parsed from JSON."""
        bounded = self._hiding.hide(event)
        if not isinstance(bounded, dict) or not bounded:
            return Refused("no-object", "an event is a JSON object with fields", orjson.dumps(bounded))
        fields = Fields(flatten(bounded))
        named = fields.named_cluster(self._config.cluster_fields)
        try:
            cluster = origin.cluster_of(named)
        except NotItsClusterError as error:
            reason = "not-its-cluster" if named else "no-cluster"
            return Refused(reason, _way_out(str(error), named), orjson.dumps(bounded))
        return self._row(fields, cluster, origin)

    def _row(self, fields: Fields, cluster: str, origin: Origin) -> LogRow:
        adjusted: Counter[str] = Counter()
        kind, workload = fields.workload()
        message = self._message(fields.message(), adjusted)
        severity = fields.severity()
        if severity is Severity.UNSET and self._config.severity_from_message:
            severity = severities.of_message(message)
        time_ms = self._time_ms(fields, origin, adjusted)

        def name(text: str) -> str:
            if len(text) > _NAME_CHARS:
                adjusted["name-cut"] += 1
            return text[:_NAME_CHARS]

        row = LogRow(
            cluster=name(cluster),
            namespace=name(fields.text("namespace")),
            workload_kind=name(kind),
            workload=name(workload),
            pod=name(fields.text("pod")),
            container=name(fields.text("container")),
            node=name(fields.text("node")),
            severity=severity.value,
            sender=(fields.text("sender") or _relay(fields) or origin.sender)[:_SENDER_CHARS],
            time_ms=time_ms,
            observed_ms=origin.observed_ms,
            message=message,
            fields=self._fields(fields.rest, adjusted),
        )
        for what, count in adjusted.items():
            telemetry.ADJUSTED.labels(self._source, what).inc(count)
        return row

    def _message(self, value: Any, adjusted: Counter[str]) -> str:
        if value is None:
            return ""
        text = value.rstrip("\r\n") if isinstance(value, str) else orjson.dumps(value).decode()
        limit = self._config.max_message_bytes
        if len(text) * 4 <= limit or len(encoded := text.encode()) <= limit:
            return text
        adjusted["message-cut"] += 1
        return encoded[:limit].decode(errors="ignore")

    def _time_ms(self, fields: Fields, origin: Origin, adjusted: Counter[str]) -> int:
        """Return the sender's time within bounds. What is not told exactly by it stays among the fields."""
        for name, value in fields.times():
            time_ms = times.parse_ms(value, origin.observed_ms)
            if time_ms is None:
                adjusted["time-unreadable"] += 1
                continue
            bounded_ms = self._bounded_ms(time_ms, origin.observed_ms, adjusted)
            if bounded_ms == time_ms:
                fields.took(name)
            return bounded_ms
        return self._bounded_ms(origin.sent_ms or origin.observed_ms, origin.observed_ms, adjusted)

    def _bounded_ms(self, time_ms: int, observed_ms: int, adjusted: Counter[str]) -> int:
        earliest = observed_ms - int(self._config.max_past_seconds * 1000)
        latest = observed_ms + int(self._config.max_future_seconds * 1000)
        if not earliest <= time_ms <= latest:
            adjusted["time-bounded"] += 1
        return min(max(time_ms, earliest), latest)

    def _fields(self, rest: Mapping[str, Any], adjusted: Counter[str]) -> str:
        if not rest:
            return ""
        limit = self._config.max_fields_bytes
        whole = orjson.dumps(rest)
        if len(whole) <= limit:
            return whole.decode()
        kept: dict[str, Any] = {}
        # Room for the braces and the word about what was left out.
        size_bytes = 64
        for name, value in rest.items():
            size_bytes += (more := len(orjson.dumps(name)) + len(orjson.dumps(value)) + 2)
            if size_bytes <= limit:
                kept[name] = value
            else:
                size_bytes -= more
        left_out = len(rest) - len(kept)
        adjusted["field-left-out"] += left_out
        return orjson.dumps({**kept, "abdrift.fields_left_out": left_out}).decode()


def _relay(fields: Fields) -> str:
    """Return whose mark an event carries: Logstash's `@version`, Vector's `source_type`."""
    if fields.has("@version"):
        return "logstash"
    return "vector" if fields.has("source_type") else ""


def _way_out(error: str, named: str | None) -> str:
    if named:
        return f"{error}; let this client speak for it (`clusters`), or have the sender name another"
    return f"{error}; set `cluster` for the sender, or have it add the field orchestrator.cluster.name"

"""The one table from senders' field names to the columns of `LogRow`. Pure.

Sources: the Elastic Common Schema; OpenTelemetry's semantic conventions and log data model; Beats'
`add_kubernetes_metadata`; Fluent Bit's `kubernetes` filter; the output fields of Vector's `kubernetes_logs`; rsyslog's
properties; journald's fields. Earlier names win over later ones. Names are dotted, whether the sender nests or not.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from abdrift.signals.logs import Severity
from collectors.logs import severities

TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "cluster": (
        "orchestrator.cluster.name",  # ECS
        "k8s.cluster.name",  # OpenTelemetry
        "kubernetes.cluster.name",
        "kubernetes.cluster_name",
        "cluster.name",
        "cluster_name",
        "cluster",
        "fields.cluster",  # Filebeat's own fields
        "labels.cluster",
    ),
    "namespace": (
        "kubernetes.namespace",  # Beats
        "k8s.namespace.name",
        "kubernetes.namespace_name",  # Fluent Bit
        "kubernetes.pod_namespace",  # Vector
        "orchestrator.namespace",
    ),
    "pod": ("kubernetes.pod.name", "k8s.pod.name", "kubernetes.pod_name"),
    "container": ("kubernetes.container.name", "k8s.container.name", "kubernetes.container_name", "container.name"),
    "node": (
        "kubernetes.node.name",
        "k8s.node.name",
        "kubernetes.pod_node_name",  # Vector
        "kubernetes.host",  # Fluent Bit
        "host.name",
        "host.hostname",
        "host",
        "hostname",
        "_HOSTNAME",  # journald
        "agent.hostname",
    ),
    "sender": ("agent.type", "@metadata.beat"),
}

WORKLOADS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = tuple(
    (kind, (f"kubernetes.{kind.lower()}.name", f"k8s.{kind.lower()}.name"))
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "ReplicaSet")
)
"""The nearest to what people deploy first: a Deployment's pod names its ReplicaSet, too."""

OWNER: Final = "kubernetes.pod_owner"
"""Vector's: `ReplicaSet/api-5d8f7c9b4`."""

MESSAGES: Final = (
    "message",
    "log",  # Fluent Bit and Docker
    "msg",
    "body",
    "body.text",
    "body.stringValue",
    "Body",
    "MESSAGE",  # journald
    "short_message",  # GELF
    "event.original",
)

TIMES: Final = (
    "@timestamp",
    "timestamp",
    "time",
    "date",  # Fluent Bit's http output
    "ts",
    "timeUnixNano",
    "time_unix_nano",
    "Timestamp",
    "timereported",  # rsyslog
    "_SOURCE_REALTIME_TIMESTAMP",  # journald
    "__REALTIME_TIMESTAMP",
    "timegenerated",
    "observed_timestamp",
    "observedTimeUnixNano",
)

SEVERITIES: Final[tuple[tuple[str, severities.Read], ...]] = (
    *((name, severities.word) for name in ("log.level", "severity_text", "severityText", "SeverityText")),
    *((name, severities.otel) for name in ("severity_number", "severityNumber", "SeverityNumber")),
    *((name, severities.word) for name in ("level", "severity", "loglevel", "log_level", "levelname", "lvl")),
    *((name, severities.word) for name in ("log.syslog.severity.name", "syslogseverity-text")),
    *((name, severities.syslog) for name in ("log.syslog.severity.code", "syslogseverity", "PRIORITY")),
)

PREFIXES: Final = ("resource.attributes.", "resources.", "resource.", "attributes.", "ResourceAttributes.")
"""Under which OpenTelemetry's exporters, Vector's `opentelemetry` source and Elastic put attributes."""


class Fields:
    """One event's fields by dotted name. What was read for a column is left out of `rest`."""

    def __init__(self, flat: Mapping[str, Any]) -> None:
        self._flat = flat
        self._used: set[str] = set()
        self._aliases: dict[str, str] = {}
        for name in flat:
            if name.startswith(PREFIXES):
                prefix = next(each for each in PREFIXES if name.startswith(each))
                self._aliases.setdefault(name[len(prefix) :], name)

    @property
    def rest(self) -> dict[str, Any]:
        """What no column took, in the sender's names and order."""
        return {name: value for name, value in self._flat.items() if name not in self._used}

    def text(self, column: str) -> str:
        """Return a text column's value; empty where no field has one."""
        return self._first(TEXTS[column])

    def named_cluster(self, names: tuple[str, ...]) -> str | None:
        """Return the cluster that the event names; `names` come before those of the table."""
        return self._first((*names, *TEXTS["cluster"])) or None

    def workload(self) -> tuple[str, str]:
        """Return the controller's kind and name; both empty where none is named."""
        for kind, names in WORKLOADS:
            if name := self._first(names):
                return kind, name
        kind, slash, name = self._first((OWNER,)).partition("/")
        return (kind, name) if slash else ("", "")

    def message(self) -> Any:
        """Return the line: text, or whatever else stands in its place; None without one."""
        for name in MESSAGES:
            found = self._name(name)
            if found is not None and self._flat[found] is not None:
                self._used.add(found)
                return self._flat[found]
        return None

    def times(self) -> Iterator[tuple[str, Any]]:
        """Yield the fields that may say when, and what they hold. One counts as read only once `took` says so."""
        for name in TIMES:
            found = self._name(name)
            if found is not None and self._flat[found] is not None:
                yield found, self._flat[found]

    def took(self, name: str) -> None:
        """Note that a field's value is told by a column."""
        self._used.add(name)

    def severity(self) -> Severity:
        """Return how bad the event says it is, by the first field that can be read."""
        for name, read in SEVERITIES:
            found = self._name(name)
            if found is not None and (severity := read(self._flat[found])):
                self._used.add(found)
                return severity
        return Severity.UNSET

    def has(self, name: str) -> bool:
        """Whether there is a field of exactly that name."""
        return name in self._flat

    def _name(self, name: str) -> str | None:
        return name if name in self._flat else self._aliases.get(name)

    def _first(self, names: tuple[str, ...]) -> str:
        for name in names:
            found = self._name(name)
            if found is not None and isinstance(value := self._flat[found], str) and value:
                self._used.add(found)
                return value
        return ""

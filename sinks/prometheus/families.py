"""Every series that tells of the fleet, declared once: its name, what it means, and its labels.

What the exporter tells of itself is in `sinks.prometheus.telemetry`. A cluster's `site`, `region` and `environment` are
its inventory's labels, empty where it has none; the values beyond a bound are `other`.
"""

from dataclasses import dataclass
from typing import Final, Literal

PLACE: Final = ("site", "region", "environment")
OLDER_THAN: Final = "older_than_seconds"


@dataclass(frozen=True, slots=True)
class Family:
    """Series of one name."""

    name: str
    """Without the suffixes that counters and histograms get."""
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter", "histogram"] = "gauge"


CLUSTERS = Family("abdrift_fleet_clusters", "Clusters by status; no evidence is unknown.", ("status", *PLACE))
CLUSTERS_SILENT = Family(
    "abdrift_fleet_clusters_silent", "Clusters whose agent is silent, or was never heard of.", PLACE
)
CLUSTERS_INCOMPLETE = Family(
    "abdrift_fleet_clusters_incomplete", "Clusters whose health rests on incomplete evidence.", PLACE
)
CLUSTERS_BY_EVIDENCE_AGE = Family(
    "abdrift_fleet_clusters_by_evidence_age",
    "Clusters by the age of what their newest health fact rests on; one is written at least every minute.",
    (OLDER_THAN,),
)
CLUSTERS_DRIFTED = Family(
    "abdrift_fleet_clusters_drifted", "Clusters with an open finding; an alert alone is no drift.", PLACE
)
CLUSTER_HEALTH = Family(
    "abdrift_cluster_health", "A cluster's status: 0 healthy, 1 degraded, 2 failing, 3 unknown.", ("cluster", *PLACE)
)
CLUSTER_FINDINGS = Family(
    "abdrift_cluster_findings", "Open findings of a cluster; none where there are none.", ("cluster", *PLACE)
)
SITE_LOCATION = Family(
    "abdrift_site_location",
    "1 for each site whose clusters have the labels latitude and longitude.",
    ("site", "latitude", "longitude"),
)

FINDINGS = Family("abdrift_drift_findings", "Open findings.", ("kind", *PLACE))
FINDINGS_BY_AGE = Family("abdrift_drift_findings_by_age", "Open findings by how long they are.", ("kind", OLDER_THAN))
OLDEST_FINDING = Family(
    "abdrift_drift_oldest_timestamp_seconds", "When the oldest open finding of its kind was opened.", ("kind",)
)
FINDING_OPENED = Family(
    "abdrift_drift_finding_opened_timestamp_seconds",
    "When a finding was opened: the newest ones, at most as many as are let through.",
    ("cluster", "kind", "object_kind", "namespace", "name", "owner"),
)
VERDICTS = Family("abdrift_drift_owners", "Kustomizations and HelmReleases by what is known of them.", ("verdict",))

INCIDENTS = Family("abdrift_incidents_open", "Open incidents.", ("cause_kind",))
INCIDENT = Family(
    "abdrift_incident_open",
    "An open incident: how many clusters have a symptom now. The newest ones, at most as many as are let through.",
    ("incident_id", "severity", "cause_kind", "cause", "source", "author", "message", "first_cluster"),
)
INCIDENT_OPENED = Family(
    "abdrift_incident_opened_timestamp_seconds", "When an open incident was opened.", ("incident_id",)
)
INCIDENT_OBJECTS = Family(
    "abdrift_incident_objects", "Members of an open incident whose symptoms last.", ("incident_id",)
)
INCIDENT_BY_ENVIRONMENT = Family(
    "abdrift_incident_environment_clusters",
    "Clusters with a symptom of an open incident now.",
    ("incident_id", "environment"),
)
INCIDENT_BY_SITE = Family(
    "abdrift_incident_site_clusters", "Clusters with a symptom of an open incident now.", ("incident_id", "site")
)

COMMANDS = Family("abdrift_fleet_commands", "Commands given since the exporter began.", ("verb",), "counter")
COMMANDS_IN_FLIGHT = Family("abdrift_fleet_commands_in_flight", "Commands that have not ended.", ("verb",))
OUTCOMES = Family(
    "abdrift_fleet_outcomes", "Commands that ended since the exporter began.", ("verb", "result"), "counter"
)
CORRECTED_SECONDS = Family(
    "abdrift_fleet_corrected_seconds",
    "From a command to the findings seen closed, of commands that corrected since the exporter began.",
    (),
    "histogram",
)
DECISIONS = Family(
    "abdrift_fleet_decisions",
    "What the governor decided since the exporter began, with its first reason.",
    ("result", "reason"),
    "counter",
)
BREAKER_OPEN = Family(
    "abdrift_governor_breaker_open", "1 while the governor commands nothing; absent until it has said anything."
)
BREAKER_SINCE = Family("abdrift_governor_breaker_since_timestamp_seconds", "Since when that is so.")
BREAKER_REASON = Family("abdrift_governor_breaker_reason", "1 for each reason why nothing is commanded.", ("reason",))
DEAD_LETTERS = Family(
    "abdrift_fleet_dead_letters",
    "What could not be read, by any process, since the exporter began.",
    ("refused_by", "reason"),
    "counter",
)

SERIES: Final = Family("abdrift_exporter_series", "Series told of the fleet, by their name.", ("family",))
SERIES_LEFT_OUT: Final = Family(
    "abdrift_exporter_series_left_out", "Series beyond what is let through, by their name.", ("family",)
)
LABELS_AS_OTHER: Final = Family(
    "abdrift_exporter_label_values_as_other", "Values of a label that are told as `other`.", ("label",)
)

FAMILIES: Final = tuple(one for one in tuple(globals().values()) if isinstance(one, Family))

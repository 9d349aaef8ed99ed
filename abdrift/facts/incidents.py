"""Incidents: one cause in place of the thousands of symptoms that share it."""

from enum import StrEnum

from pydantic import Field

from abdrift.facts.base import ClusterRef, Evidence, Fact, ObjectRef, Timestamp
from abdrift.facts.drift import GitCommit


class IncidentState(StrEnum):
    """Where an incident is in its life."""

    OPEN = "open"
    CLOSED = "closed"


class CauseKind(StrEnum):
    """What the symptoms have in common."""

    GIT_REVISION = "git-revision"
    CHART_VERSION = "chart-version"
    SITE = "site"
    DEPENDENCY = "dependency"
    """A source, or the host of many sources, that cannot be fetched."""
    NODE_POOL = "node-pool"
    FLEET = "fleet"
    """Most of the fleet is silent: what all agents share, such as the way to Kafka, rather than their sites."""


class Severity(StrEnum):
    """How soon a person should look."""

    WARNING = "warning"
    """Symptoms that last say only that something is late."""
    CRITICAL = "critical"
    """Something fails, or is out of sight."""


class Symptom(StrEnum):
    """What is wrong with a member."""

    FAILING = "failing"
    BEHIND = "behind"
    SILENT = "silent"
    NOT_READY = "not-ready"


class IncidentCause(Fact):
    """What the members share."""

    kind: CauseKind
    name: str = Field(
        description="The revision; chart and version; site; URL, host or object of a source; cluster/pool; or `all`."
    )
    source: str | None = Field(default=None, description="URL of the repository that the revision or chart is of.")
    commit: GitCommit | None = Field(default=None, description="For a revision: its author and message, once known.")


class IncidentMember(Fact):
    """One object, node or cluster that has a symptom, or had one while the incident was open."""

    cluster: ClusterRef
    labels: dict[str, str] = Field(default_factory=dict, description="The cluster's site, region and environment.")
    object: ObjectRef | None = Field(default=None, description="Absent where the cluster itself is the member.")
    symptom: Symptom = Field(description="The gravest one that lasts; else the last one.")
    finding_ids: tuple[str, ...] = Field(default=(), description="For findings: one object may have several.")
    resource_id: str | None = Field(default=None, description="For a change of health.")
    message: str = Field(description="One sentence for a person: the symptom.")
    since: Timestamp
    until: Timestamp | None = Field(default=None, description="When it was over; absent while it lasts.")


class BlastRadius(Fact):
    """How far an incident reaches."""

    clusters: int = Field(description="Clusters that have a symptom now.")
    clusters_ever: int = Field(description="Clusters that had one at any time.")
    objects: int = Field(description="Members whose symptoms last.")
    symptoms: dict[str, int] = Field(default_factory=dict, description="The same by symptom.")
    clusters_by_site: dict[str, int] = Field(default_factory=dict, description="Now; the largest, others in `other`.")
    clusters_by_environment: dict[str, int] = Field(default_factory=dict)


class Incident(Fact):
    """One cause, its blast radius and its members. Subject: `incident_id`."""

    incident_id: str = Field(description="A hash of the cause and the record that opened it.")
    revision: int = Field(ge=1, description="Counts up with each change of this incident.")
    state: IncidentState
    severity: Severity
    cause: IncidentCause
    title: str = Field(description="One sentence for a person: the cause and how far it reaches.")
    blast_radius: BlastRadius
    members: tuple[IncidentMember, ...] = Field(default=(), description="Lasting ones first, then by when they began.")
    members_omitted: int = Field(default=0, description="How many more there are than are listed.")
    first: IncidentMember = Field(description="The first symptom: where it was seen first.")
    outcomes: dict[str, int] = Field(default_factory=dict, description="Commands for its members, by their result.")
    opened_at: Timestamp
    changed_at: Timestamp
    closed_at: Timestamp | None = None
    closed_because: str | None = Field(
        default=None,
        description="recovered; superseded: by another revision, or by the incident of a wider cause; forgotten.",
    )
    superseded_by: str | None = Field(default=None, description="Id of the incident of the wider cause.")
    evidence: Evidence

"""Drift: findings that open, change and close, and verdicts that say what is known at all."""

from enum import StrEnum
from typing import Any

from pydantic import Field

from abdrift.facts.base import ClusterRef, Evidence, Fact, ObjectRef, Timestamp


class DriftKind(StrEnum):
    """Why something is off course. Source: the design's drift table."""

    BEHIND = "behind"
    FAILING = "failing"
    SUSPENDED = "suspended"
    CHANGED = "changed"
    DELETED = "deleted"
    ORPHANED = "orphaned"
    ALERT = "alert"
    """Alerts fire for it: no drift by itself, and found beside drift."""


class FindingState(StrEnum):
    """Where a finding is in its life."""

    OPEN = "open"
    CLOSED = "closed"


class Certainty(StrEnum):
    """`proven` against a baseline; `suspect` where only managedFields speak, before the first reconcile was seen."""

    PROVEN = "proven"
    SUSPECT = "suspect"


class Corrects(StrEnum):
    """Whether a reconcile by the owner would undo the finding."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class FieldManager(Fact):
    """Who wrote a field, by managedFields: a self-declared name."""

    manager: str
    operation: str | None = Field(default=None, description="Apply or Update.")
    subresource: str | None = None
    time: Timestamp | None = Field(default=None, description="Absent for scale, which records none.")


class FieldChange(Fact):
    """One field that differs from what GitOps last applied."""

    path: str = Field(description="JSON pointer (RFC 6901) into the live object.")
    op: str = Field(description="add, remove or replace: what was done to the baseline.")
    old: Any = Field(default=None, description="The baseline's value; masked for secrets.")
    old_known: bool = Field(default=True, description="False at first sight, when no baseline is proven.")
    new: Any = Field(default=None, description="The live value; masked for secrets.")
    by: FieldManager | None = Field(default=None, description="Absent where nobody left a trace, as after a removal.")


class GitCommit(Fact):
    """A commit as the remote tells it."""

    revision: str = Field(description="As Flux writes it, e.g. main@sha1:….")
    author: str | None = None
    message: str | None = Field(default=None, description="The first line.")
    time: Timestamp | None = None


class Times(Fact):
    """When each thing about a finding happened. All but opened are absent until known."""

    changed_at: Timestamp | None = Field(default=None, description="By the object's own record, second precision.")
    observed_at: Timestamp | None = Field(default=None, description="When the collector received it.")
    opened_at: Timestamp = Field(description="Append time of the record that opened it.")
    closed_at: Timestamp | None = None


class Finding(Fact):
    """One drift. Subject: `finding_id`."""

    finding_id: str = Field(description="A hash of cluster, kind, object and the record that opened it.")
    revision: int = Field(ge=1, description="Counts up with each change of this finding.")
    state: FindingState
    kind: DriftKind
    cluster: ClusterRef
    object: ObjectRef
    owner: ObjectRef | None = Field(default=None, description="The Kustomization or HelmRelease that owns the object.")
    certainty: Certainty = Certainty.PROVEN
    message: str = Field(description="One sentence for a person.")
    fields: tuple[FieldChange, ...] = ()
    fields_omitted: int = Field(default=0, description="How many more fields differ than are listed.")
    managers: tuple[str, ...] = Field(default=(), description="Everyone who wrote one of the fields.")
    times: Times
    reconcile_corrects: Corrects = Corrects.UNKNOWN
    reconcile_corrects_reason: str | None = None
    contested: bool = Field(default=False, description="Another controller rightfully owns it too; never commanded.")
    held_until: Timestamp | None = Field(default=None, description="A hold annotation on the object or its owner.")
    applied_revision: str | None = None
    desired: GitCommit | None = Field(default=None, description="The commit it should be at, for behind and failing.")
    attempted: GitCommit | None = Field(
        default=None, description="For failing: the revision that could not be applied, or the chart's version."
    )
    reason: str | None = Field(default=None, description="For failing: the controller's reason, e.g. BuildFailed.")
    source: ObjectRef | None = Field(default=None, description="For behind and failing: the source it rests on.")
    source_url: str | None = Field(
        default=None, description="Where that source fetches from; of a HelmChart, its name."
    )
    closed_because: str | None = Field(
        default=None, description="corrected, adopted, superseded, exempt, gone, resolved, stale, cluster-gone, …"
    )
    recurrences: int = Field(default=0, description="How often the same drift came back after it was corrected.")
    owner_generation: int | None = None
    owner_artifact_revision: str | None = Field(default=None, description="What its source has fetched, if known.")
    evidence: Evidence


class Verdict(StrEnum):
    """What is known about one GitOps object's objects as a whole."""

    IN_SYNC = "in-sync"
    DRIFTED = "drifted"
    UNKNOWN = "unknown"


class OwnerVerdict(Fact):
    """What is known of a Kustomization's or HelmRelease's objects. Subject: `verdict_id`.

    `in-sync` is said only where every inventoried object is proven at its baseline on complete evidence.
    """

    verdict_id: str
    revision: int = Field(ge=1)
    cluster: ClusterRef
    owner: ObjectRef
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    objects: int = 0
    proven: int = 0
    unproven: int = Field(default=0, description="Objects whose baseline no reconcile has settled yet.")
    exempt: int = 0
    open_findings: int = 0
    held_until: Timestamp | None = None
    owner_idle: bool = True
    ready: bool | None = None
    suspended: bool = False
    applied_revision: str | None = None
    artifact_revision: str | None = None
    evidence: Evidence

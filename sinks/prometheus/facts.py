"""What is read of each fact: a few fields, decoded without the rest. What a fact has more is passed over."""

from datetime import datetime
from typing import Final

import msgspec


class Envelope(msgspec.Struct, frozen=True):
    """A CloudEvent whose data is not decoded yet."""

    type: str
    subject: str
    data: msgspec.Raw


class Cluster(msgspec.Struct, frozen=True):
    """A reference to a cluster."""

    name: str


class Evidence(msgspec.Struct, frozen=True):
    """What a fact rests on."""

    complete: bool
    as_of: datetime | None = None


class Reason(msgspec.Struct, frozen=True):
    """A reason's stable word."""

    code: str


class Health(msgspec.Struct, frozen=True):
    """A cluster's health."""

    status: str
    evidence: Evidence
    name: str
    reasons: tuple[Reason, ...] = ()


class Inventory(msgspec.Struct, frozen=True):
    """A cluster of the fleet."""

    cluster: Cluster
    labels: dict[str, str] = {}


class Object(msgspec.Struct, frozen=True):
    """A Kubernetes object."""

    kind: str
    name: str
    namespace: str = ""


class Times(msgspec.Struct, frozen=True):
    """When a finding was opened."""

    opened_at: datetime


class Finding(msgspec.Struct, frozen=True):
    """One drift."""

    state: str
    kind: str
    cluster: Cluster
    object: Object
    times: Times
    owner: Object | None = None


class Verdict(msgspec.Struct, frozen=True):
    """What is known of an owner's objects."""

    verdict: str


class Commit(msgspec.Struct, frozen=True):
    """Who committed, and the first line of what they wrote."""

    author: str | None = None
    message: str | None = None


class Cause(msgspec.Struct, frozen=True):
    """What an incident's members share."""

    kind: str
    name: str
    source: str | None = None
    commit: Commit = Commit()


class Radius(msgspec.Struct, frozen=True):
    """How far an incident reaches."""

    clusters: int
    objects: int
    clusters_by_site: dict[str, int] = {}
    clusters_by_environment: dict[str, int] = {}


class Member(msgspec.Struct, frozen=True):
    """What has a symptom."""

    cluster: Cluster


class Incident(msgspec.Struct, frozen=True):
    """One cause of many symptoms."""

    incident_id: str
    state: str
    severity: str
    cause: Cause
    blast_radius: Radius
    first: Member
    opened_at: datetime


class Command(msgspec.Struct, frozen=True):
    """A signed order."""

    command_id: str
    verb: str
    expires_at: datetime


class Outcome(msgspec.Struct, frozen=True):
    """What came of a command."""

    command_id: str
    result: str
    verb: str = ""
    issued_at: datetime | None = None
    corrected_at: datetime | None = None


class Decision(msgspec.Struct, frozen=True):
    """What the governor decided."""

    result: str
    reasons: tuple[Reason, ...] = ()


class Breaker(msgspec.Struct, frozen=True):
    """Whether the governor may act."""

    open: bool
    since: datetime
    reasons: tuple[Reason, ...] = ()


class DeadLetter(msgspec.Struct, frozen=True):
    """What could not be read."""

    reason: str
    refused_by: str


ENVELOPE: Final = msgspec.json.Decoder(Envelope)

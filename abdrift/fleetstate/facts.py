"""What is read of each fact: a few fields, decoded without the rest. What a fact has more is passed over."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final

import msgspec

from abdrift.latest import Change
from abdrift.topics import (
    BREAKER,
    COMMAND,
    DEAD_LETTER,
    DECISION,
    FINDING,
    HEALTH,
    INCIDENT,
    INVENTORY,
    OUTCOME,
    VERDICT,
)

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class UnreadableError(ValueError):
    """A record that is no fact, or not of the shape that its type promises; `reason` is a stable word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class _Envelope(msgspec.Struct, frozen=True):
    type: str
    subject: str
    data: msgspec.Raw


class Cluster(msgspec.Struct, frozen=True):
    """A reference to a cluster."""

    name: str


class Object(msgspec.Struct, frozen=True):
    """A Kubernetes object."""

    kind: str
    name: str
    namespace: str | None = None


class Evidence(msgspec.Struct, frozen=True):
    """What a fact rests on."""

    complete: bool
    as_of: Moment | None = None


class Reason(msgspec.Struct, frozen=True):
    """A reason: a stable word, and a sentence."""

    code: str
    message: str = ""


class GitSource(msgspec.Struct, frozen=True):
    """A remote that a cluster follows."""

    url: str
    ref: str


class Commit(msgspec.Struct, frozen=True):
    """A revision, who committed it, and the first line of what they wrote."""

    revision: str = ""
    author: str | None = None
    message: str | None = None


class Inventory(msgspec.Struct, frozen=True):
    """A cluster of the fleet."""

    cluster: Cluster
    labels: dict[str, str] = {}
    declared: bool = False
    kubernetes_version: str | None = None
    git_sources: tuple[GitSource, ...] = ()
    last_seen: Moment | None = None


class Health(msgspec.Struct, frozen=True):
    """How something is."""

    scope: str
    status: str
    since: Moment
    evidence: Evidence
    cluster: Cluster | None = None
    reasons: tuple[Reason, ...] = ()
    last_seen: Moment | None = None


class Times(msgspec.Struct, frozen=True):
    """When a finding was opened, and closed."""

    opened_at: Moment
    closed_at: Moment | None = None


class Finding(msgspec.Struct, frozen=True):
    """One drift."""

    revision: int
    state: str
    kind: str
    cluster: Cluster
    object: Object
    times: Times
    message: str
    owner: Object | None = None
    certainty: str = "proven"
    closed_because: str | None = None
    desired: Commit | None = None


class Verdict(msgspec.Struct, frozen=True):
    """What is known of an owner's objects."""

    cluster: Cluster
    owner: Object
    verdict: str
    reasons: tuple[str, ...] = ()
    applied_revision: str | None = None
    artifact_revision: str | None = None
    ready: bool | None = None
    suspended: bool = False


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
    """One cause of many symptoms, without its members."""

    incident_id: str
    state: str
    severity: str
    cause: Cause
    blast_radius: Radius
    first: Member
    opened_at: Moment
    changed_at: Moment


class IncidentFact(msgspec.Struct, frozen=True):
    """An incident's data as JSON has it, which are known to be of `Incident`'s shape."""

    data: Mapping[str, object]


class Command(msgspec.Struct, frozen=True):
    """A signed order."""

    command_id: str
    verb: str
    cluster: Cluster
    target: Object
    finding_ids: tuple[str, ...]
    reason: str
    issued_at: Moment
    expires_at: Moment


class Outcome(msgspec.Struct, frozen=True):
    """What came of a command."""

    command_id: str
    result: str
    verb: str = ""
    reasons: tuple[Reason, ...] = ()
    issued_at: Moment | None = None
    corrected_at: Moment | None = None
    finished_at: Moment | None = None


class Decision(msgspec.Struct, frozen=True):
    """What the governor decided."""

    result: str
    reasons: tuple[Reason, ...] = ()


class Breaker(msgspec.Struct, frozen=True):
    """Whether the governor may act."""

    open: bool
    since: Moment
    frozen_by: str | None = None
    reasons: tuple[Reason, ...] = ()


class DeadLetter(msgspec.Struct, frozen=True):
    """What could not be read."""

    reason: str
    refused_by: str


Fact = Inventory | Health | Finding | Verdict | IncidentFact | Command | Outcome | Decision | Breaker | DeadLetter

_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_DATA: Final[Mapping[str, msgspec.json.Decoder[Fact]]] = {
    fact.name: msgspec.json.Decoder(shape)
    for fact, shape in (
        (INVENTORY, Inventory),
        (HEALTH, Health),
        (FINDING, Finding),
        (VERDICT, Verdict),
        (COMMAND, Command),
        (OUTCOME, Outcome),
        (DECISION, Decision),
        (BREAKER, Breaker),
        (DEAD_LETTER, DeadLetter),
    )
}


def read(change: Change) -> Fact | None:
    """Return the fact in a change; None where it takes one back, and for types that nothing here folds.

    Raises:
        UnreadableError: it is no fact, or not of the shape that its type promises.

    """
    if change.value is None:
        return None
    try:
        event = _ENVELOPE.decode(change.value)
        if event.type == INCIDENT.name:
            data = msgspec.json.decode(event.data, type=dict[str, object])
            msgspec.convert(data, Incident)
            return IncidentFact(data)
        decoder = _DATA.get(event.type)
        return decoder.decode(event.data) if decoder else None
    except msgspec.ValidationError as error:
        raise UnreadableError("bad-fact", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableError("no-json", str(error)) from error

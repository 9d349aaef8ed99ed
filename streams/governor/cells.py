"""What the governor remembers, as frozen cells.

Keys: `fleet`, `policy/<name>`, `cluster/<name>`, `owner/<cluster>/<kind>/<namespace>/<name>`, `finding/<finding id>`,
`verdict/<verdict id>`, `command/<command id>`, `word/<slot>/<subject>`, `budget/<scope>/<name>`. All times are
milliseconds since the Unix epoch, of the broker's clock unless said otherwise.
"""

import msgspec

from abdrift.facts.base import ObjectRef
from abdrift.facts.commands import Verb
from abdrift.facts.drift import Corrects, DriftKind
from abdrift.facts.governance import ApprovalAction

FLEET_KEY = "fleet"


class ObjectNote(msgspec.Struct, frozen=True):
    """An `ObjectRef` as cells keep it."""

    kind: str
    name: str
    group: str = ""
    version: str = "v1"
    namespace: str | None = None
    uid: str | None = None

    @classmethod
    def of(cls, ref: ObjectRef) -> "ObjectNote":
        """Return the note of a reference."""
        return cls(ref.kind, ref.name, ref.group, ref.version, ref.namespace, ref.uid)

    def ref(self) -> ObjectRef:
        """Return it as facts name objects."""
        return ObjectRef(
            group=self.group,
            version=self.version,
            kind=self.kind,
            namespace=self.namespace,
            name=self.name,
            uid=self.uid,
        )

    @property
    def identity(self) -> str:
        """What stays the same when the object is recreated or served under another version."""
        return f"{self.group}/{self.kind}/{self.namespace or ''}/{self.name}"


class Reason(msgspec.Struct, frozen=True):
    """A `DecisionReason` as cells keep it."""

    code: str
    message: str


class FleetCell(msgspec.Struct, frozen=True, tag="fleet"):
    """What concerns all clusters at once."""

    now_ms: int = 0
    swept_ms: int = 0
    fencing: int = 0
    sequence: int = 0
    """Counts facts, so that each has an id of its own however records were cut into batches."""
    clusters: int = 0
    surging: int = 0
    """Clusters with a finding opened within the surge window; recounted at every sweep."""
    surge_since_ms: int = 0
    """Findings opened before are forgiven: set by a thaw."""
    failures_ms: tuple[int, ...] = ()
    breaker: tuple[Reason, ...] = ()
    """Why the breaker is open; empty while it is closed."""
    breaker_since_ms: int = 0
    breaker_revision: int = 0
    recheck: bool = False
    """Whether something changed that every owner's next decision depends on."""


class PolicyCell(msgspec.Struct, frozen=True, tag="policy"):
    """A policy whose signature was verified."""

    name: str
    revision: int
    data: str
    """Its JSON."""


class ClusterCell(msgspec.Struct, frozen=True, tag="cluster"):
    """A cluster in the inventory."""

    name: str
    uid: str | None
    labels: dict[str, str]
    source_hosts: tuple[str, ...]
    last_seen_ms: int
    opened_ms: int = 0
    """When its newest proven finding opened."""
    health_revision: int = 0
    silent: bool = False


class VerdictNote(msgspec.Struct, frozen=True):
    """An `OwnerVerdict`, as far as it decides anything."""

    verdict_id: str
    revision: int
    unknown: bool
    reasons: tuple[str, ...]
    unproven: int
    held_until_ms: int
    suspended: bool
    applied_revision: str | None
    artifact_revision: str | None
    as_of_ms: int
    complete: bool
    seen_offset: int
    """Where it came in the topic's order: a later verdict speaks for its findings' evidence too."""


class Correction(msgspec.Struct, frozen=True):
    """One object that a command corrected, and when; what a fight is recognised by."""

    object_identity: str
    paths: tuple[str, ...]
    at_ms: int


class FightNote(msgspec.Struct, frozen=True):
    """A fight that was stopped."""

    object_identity: str
    managers: tuple[str, ...]
    since_ms: int


class OwnerCell(msgspec.Struct, frozen=True, tag="owner"):
    """A Kustomization or HelmRelease, or a stand-in for a finding without an owner (`ref` is None)."""

    key: str
    cluster: str
    ref: ObjectNote | None
    finding_ids: tuple[str, ...] = ()
    overflowed: bool = False
    """More findings than are kept: nothing is commanded until they are gone."""
    verdict: VerdictNote | None = None
    attempts: int = 0
    next_ms: int = 0
    """No command before: the back-off."""
    command_id: str | None = None
    """The command in flight."""
    last_command_id: str | None = None
    last_result: str = ""
    """How the last command ended, where it did not correct."""
    corrections: tuple[Correction, ...] = ()
    fight: FightNote | None = None
    due_ms: int = 0
    """When to decide again without being asked; 0 for never."""


class FindingCell(msgspec.Struct, frozen=True, tag="finding"):
    """A finding; a closed one is kept for a while, so that a late duplicate does not open it again."""

    finding_id: str
    revision: int
    owner_key: str
    cluster: str
    closed: bool
    seen_ms: int
    kind: DriftKind
    object: ObjectNote
    paths: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    opened_ms: int = 0
    suspect: bool = False
    corrects: Corrects = Corrects.UNKNOWN
    corrects_reason: str = ""
    contested: bool = False
    held_until_ms: int = 0
    desired_revision: str | None = None
    cluster_uid: str | None = None
    as_of_ms: int = 0
    complete: bool = False
    seen_offset: int = 0
    settle_ms: int = 0
    """A command corrected it; until then the closing fact is awaited rather than another command sent."""
    said: str = ""
    """Result, verb and reasons of the last decision about it."""
    said_ms: int = 0


class VerdictCell(msgspec.Struct, frozen=True, tag="verdict"):
    """Whose verdict an id is, for its tombstone."""

    owner_key: str


class Target(msgspec.Struct, frozen=True):
    """A finding that a command named."""

    finding_id: str
    object_identity: str
    paths: tuple[str, ...]


class CommandCell(msgspec.Struct, frozen=True, tag="command"):
    """A command, kept until no outcome can follow it."""

    command_id: str
    owner_key: str
    cluster: str
    verb: Verb
    scopes: tuple[str, ...]
    """Keys of the budgets it counts against."""
    targets: tuple[Target, ...]
    issued_ms: int
    expires_ms: int
    outcome_revision: int = 0
    released: bool = False
    """Whether its budgets were given back."""


class WordCell(msgspec.Struct, frozen=True, tag="word"):
    """The latest word of people about a subject."""

    action: ApprovalAction
    approval_id: str
    subject: str
    by: str
    reason: str
    issued_ms: int
    """By the person's own clock."""
    until_ms: int
    """0 for no end."""
    verb: Verb | None = None
    used_by: str | None = None


class BudgetCell(msgspec.Struct, frozen=True, tag="budget"):
    """What one scope has used."""

    in_flight: int = 0
    minutes: tuple[tuple[int, int], ...] = ()
    """Commands issued by minute since the epoch, oldest first, an hour's worth."""


GovernorCell = (
    FleetCell | PolicyCell | ClusterCell | OwnerCell | FindingCell | VerdictCell | CommandCell | WordCell | BudgetCell
)


def owner_key(cluster: str, owner: ObjectRef | ObjectNote) -> str:
    """Return the cell key of an owner, which is also the subject by which people name it in approvals and holds."""
    return f"owner/{cluster}/{owner.kind}/{owner.namespace or ''}/{owner.name}"


def cluster_key(cluster: str) -> str:
    """Return the cell key of a cluster, which is also the subject by which people name it."""
    return f"cluster/{cluster}"


def finding_key(finding_id: str) -> str:
    """Return the cell key of a finding."""
    return f"finding/{finding_id}"


def command_key(command_id: str) -> str:
    """Return the cell key of a command."""
    return f"command/{command_id}"


def policy_key(name: str) -> str:
    """Return the cell key of a policy."""
    return f"policy/{name}"


def verdict_key(verdict_id: str) -> str:
    """Return the cell key of a verdict's owner."""
    return f"verdict/{verdict_id}"
